"""The signed statement about a model version: its files, and what they were made from.

An in-toto statement (v1) with SLSA provenance (v1) in a DSSE envelope, which other tools can
read and verify. The key of the ledger signs it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from factory_resources.ledger.keys import LogKey
from factory_resources.ledger.statements import (
    URN,
    EnvelopeSigner,
    encode_statement,
    envelope,
    resource_descriptors,
)
from factory_resources.tracking.record import Record

PREDICATE = "https://slsa.dev/provenance/v1"


@dataclass(frozen=True)
class Statement:
    """What is stated about one version."""

    pipeline: str
    version: int
    trained: Record
    """The record of its training."""
    files: Mapping[str, str]
    """Path in the home to the SHA-256 of each file of the model and of its export."""
    materials: Mapping[str, str]
    """Path in the home to the SHA-256 of what it was made from: records and files of tables."""

    def signed(self, key: LogKey) -> bytes:
        """Return the envelope, as JSON."""
        signer = EnvelopeSigner(f"{key.origin}+{key.verifier.key_id.hex()}", key.private.sign)
        content = encode_statement(self.files.items(), PREDICATE, self._predicate(key.origin))
        return envelope(content, [signer])

    def _predicate(self, origin: str) -> dict[str, object]:
        return {
            "buildDefinition": {
                "buildType": f"{URN}:pipeline:v1",
                "externalParameters": {"pipeline": self.pipeline, "version": self.version},
                "internalParameters": {"key": self.trained.key},
                "resolvedDependencies": resource_descriptors(self.materials.items()),
            },
            "runDetails": {
                "builder": {"id": f"{URN}:{origin}"},
                "metadata": {
                    "invocationId": self.trained.run_id,
                    "finishedOn": self.trained.finished,
                },
            },
        }
