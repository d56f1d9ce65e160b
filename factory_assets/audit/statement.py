"""The signed statement about a model version: its files, and what they were made from.

An in-toto statement (v1) with SLSA provenance (v1) in a DSSE envelope, so that the tools of others
read and check it. The ledger's key signs it.
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from factory_resources.ledger.factory_verify import (
    STATEMENT_PAYLOAD,
    STATEMENT_TYPE,
    pre_authentication_encoding,
)
from factory_resources.ledger.keys import LogKey
from factory_resources.tracking.record import Record

PREDICATE = "https://slsa.dev/provenance/v1"

_URN = "urn:sovereign-ai-factory"


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
        payload = json.dumps(self._payload(key.origin), sort_keys=True).encode()
        signature = key.private.sign(pre_authentication_encoding(STATEMENT_PAYLOAD, payload))
        envelope = {
            "payload": b64encode(payload).decode(),
            "payloadType": STATEMENT_PAYLOAD,
            "signatures": [
                {
                    "keyid": f"{key.origin}+{key.verifier.key_id.hex()}",
                    "sig": b64encode(signature).decode(),
                }
            ],
        }
        return json.dumps(envelope, indent=1).encode()

    def _payload(self, origin: str) -> dict[str, object]:
        return {
            "_type": STATEMENT_TYPE,
            "subject": [*_described(self.files.items())],
            "predicateType": PREDICATE,
            "predicate": {
                "buildDefinition": {
                    "buildType": f"{_URN}:pipeline:v1",
                    "externalParameters": {"pipeline": self.pipeline, "version": self.version},
                    "internalParameters": {"key": self.trained.key},
                    "resolvedDependencies": [*_described(self.materials.items())],
                },
                "runDetails": {
                    "builder": {"id": f"{_URN}:{origin}"},
                    "metadata": {
                        "invocationId": self.trained.run_id,
                        "finishedOn": self.trained.finished,
                    },
                },
            },
        }


def _described(digests: Iterable[tuple[str, str]]) -> Iterable[dict[str, object]]:
    return ({"name": name, "digest": {"sha256": digest}} for name, digest in digests)
