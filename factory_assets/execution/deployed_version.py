"""A model version that was exported, as the ledger has it, and the check of its files."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from factory_assets.ml.artifacts.onnx_model import FILE, FOLDER
from factory_assets.ml.artifacts.trained_model import MANIFEST
from factory_assets.results.base import result_as
from factory_assets.results.model import Champion
from factory_resources.erasure.manifest import is_gone
from factory_resources.errors import ModelError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import (
    ModelExported,
    ModelTrained,
    StageComputed,
    VerdictGiven,
)
from factory_resources.ledger.ledger import champion_in, latest_in
from factory_resources.ledger.log import Log
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry


@dataclass(frozen=True)
class DeployedVersion:
    """What a decision about a version binds."""

    pipeline: str
    version: int
    record: Record
    """The record of `deploy`."""
    model: str
    """The digest of the manifest of the model's files."""
    graph: str
    """The digest of the exported graph."""
    passed: bool
    """Whether it passed its gates, when it was evaluated last."""
    verdict_record: str
    """The path of the record of that evaluation."""
    verdict: str
    """The digest of that record's file."""
    replaces: int | None
    """The version that serves now."""

    @property
    def name(self) -> str:
        return f"{self.pipeline}@{self.version}"

    @property
    def value(self) -> Champion:
        return result_as(Champion, self.record)

    @property
    def was_evaluated_again(self) -> bool:
        """Whether it was evaluated after it was exported, and may have other results."""
        keys = self.record.inputs.get("evaluate", ())
        names = {f"records/{self.pipeline}/evaluate/{key}.json" for key in keys}
        return self.verdict_record not in names


def deployed_version(log: Log, pipeline: str, version: int, home: Home) -> DeployedVersion:
    """Return a version that was exported.

    Raises:
        UnknownNameError: there is no such version, or it did not get so far.
        StorageError: the ledger or a record was changed.
    """
    names: dict[str, str | int] = {"pipeline": pipeline, "version": version}
    trained = latest_in(log, ModelTrained, ModelTrained.subject_of(**names))
    verdict = latest_in(log, VerdictGiven, VerdictGiven.subject_of(**names))
    exported = latest_in(log, ModelExported, ModelExported.subject_of(**names))
    if trained is None or verdict is None or exported is None:
        missing = "does not exist" if trained is None else "did not pass its gates"
        raise UnknownNameError(
            f"{pipeline}@{version} {missing}",
            remedy=f"its results are shown by: factory trace {pipeline}@{version}"
            if trained
            else f"train one: factory run {pipeline}",
        )
    record = Records(home).find(pipeline, "deploy", Path(exported[1].record).stem)
    evaluated = latest_in(log, StageComputed, verdict[1].record)
    if record is None or evaluated is None:
        raise ModelError(
            f"the record of how {pipeline}@{version} was exported or evaluated is gone",
            remedy=f"factory run {pipeline}",
        )
    champion = champion_in(log, pipeline)
    return DeployedVersion(
        pipeline=pipeline,
        version=version,
        record=record,
        model=trained[1].digest,
        graph=exported[1].graph,
        passed=verdict[1].passed,
        verdict_record=verdict[1].record,
        verdict=evaluated[1].sha256,
        replaces=champion[1].version if champion else None,
    )


def require_files(deployed: DeployedVersion, home: Home) -> None:
    """Check the files of the model and of its export against the ledger.

    Raises:
        ModelError: a file is missing or was changed.
    """
    registry = Registry(home)
    version = registry.version(deployed.pipeline, deployed.version)
    graph = registry.run_files(deployed.pipeline, version.run_id) / FOLDER / FILE
    for path, digest in _expected(version.files / MANIFEST, deployed, graph):
        try:
            found = sha256(path.read_bytes()).hexdigest()
        except FileNotFoundError as error:
            if is_gone(home, deployed.pipeline, deployed.version):
                raise _erased(deployed, path) from error
            raise _unusable(deployed, path, "is missing") from error
        except OSError as error:
            raise _unusable(deployed, path, f"cannot be read ({error.strerror})") from error
        if found != digest:
            raise _unusable(deployed, path, "was changed")


def _expected(manifest: Path, deployed: DeployedVersion, graph: Path) -> Iterator[tuple[Path, str]]:
    yield graph, deployed.graph
    yield manifest, deployed.model
    # Whoever consumes this has compared the manifest itself by now.
    for name, digest in json.loads(manifest.read_bytes()).items():
        yield manifest.with_name(name), digest


def _erased(deployed: DeployedVersion, path: Path) -> ModelError:
    return ModelError(
        f"{path.name} was removed by an erasure, so that it does not serve any more",
        where=deployed.name,
        remedy=f"train a new version: factory run {deployed.pipeline}",
    )


def _unusable(deployed: DeployedVersion, path: Path, what: str) -> ModelError:
    return ModelError(
        f"{path.name} {what}",
        where=deployed.name,
        remedy="it does not serve; factory verify shows what else does not hold",
    )
