"""The records of a model version that its bills of materials list."""

from dataclasses import dataclass

from factory_assets.audit.dossier.cited_home import chosen_version
from factory_assets.audit.requirements.version_records import VersionRecords, version_records
from factory_assets.execution.provenance import Environment, Provenance, read_provenance
from factory_assets.spec import Pipeline
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.tracking.record import Record
from factory_resources.tracking.registry import Version


@dataclass(frozen=True)
class DescribedVersion:
    """One version, how it was trained, and the records behind it."""

    version: Version
    records: VersionRecords
    provenance: Provenance
    trained: Record

    @property
    def name(self) -> str:
        return f"{self.version.model}@{self.version.version}"

    @property
    def environment(self) -> Environment:
        return self.provenance.environment

    @property
    def lock(self) -> dict[str, str]:
        """Name to version of what was installed; of older versions, of what computed the weights.

        Its digest is bound by the ledger: the entry of the model names the manifest that lists it.
        """
        found = self.environment.distributions
        return self.environment.libraries if found is None else found


def describe_version(pipeline: Pipeline, number: int | None, home: Home) -> DescribedVersion:
    """Return a version with its records, each as the ledger has it.

    Args:
        number: None for the champion, else the newest version.

    Raises:
        UnknownNameError: there is no such version.
        ModelError: it is not recorded how it was trained, or that was changed.
        StorageError: the ledger or a record was changed.
    """
    version = chosen_version(pipeline.name, number, home)
    provenance = read_provenance(version, home)
    records = version_records(pipeline, version.version, home)
    trained = next(iter(records.by_stage.get("train", ())), None)
    if trained is None:
        raise ModelError(
            "the record of its training is gone",
            where=f"{version.model}@{version.version}",
            remedy=f"train it again: factory run {version.model}",
        )
    return DescribedVersion(version, records, provenance, trained)
