"""The records behind one model version, by stage, and the results in them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from factory_assets.audit.upstream import walk_upstream
from factory_assets.execution.provenance import Environment, read_provenance
from factory_assets.results.base import R
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.latest import value_of
from factory_assets.results.model import Candidate, Champion
from factory_assets.results.record_graph import RecordGraph, model_of
from factory_assets.results.stages import STAGES, Stage
from factory_assets.spec import Pipeline
from factory_resources.errors import ModelError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import ModelExported, ModelTrained, VerdictGiven
from factory_resources.ledger.ledger import Ledger, latest_in
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry


@dataclass(frozen=True)
class VersionRecords:
    """What a home has of one version; of a stage whose records are gone there are none."""

    pipeline: Pipeline
    """As it is declared now."""
    version: int
    model: str
    """The digest of the manifest of the model's files."""
    home: Home
    by_stage: Mapping[Stage, tuple[Record, ...]]
    """Of stages that run partition by partition, one a partition."""
    records: RecordGraph | None = None
    """All records of the home that are to be believed; None to read them if they are needed."""

    def result(self, stage: Stage, kind: type[R]) -> R | None:
        """Return the result of a stage; those of several partitions are merged."""
        records = self.by_stage.get(stage, ())
        value = value_of(records) if records else None
        return value if isinstance(value, kind) else None

    @cached_property
    def evaluation(self) -> EvaluationResult | None:
        return self.result("evaluate", EvaluationResult)

    @property
    def candidate(self) -> Candidate | None:
        """The version itself; its evaluation has it as well."""
        return self.evaluation.candidate if self.evaluation else self.result("train", Candidate)

    @property
    def replaced(self) -> int | None:
        """The version that served when this one was exported."""
        exported = self.result("deploy", Champion)
        return exported.replaced if exported else None

    @cached_property
    def environment(self) -> Environment | None:
        """What it was trained in; None if that is not recorded."""
        try:
            version = Registry(self.home).version(self.pipeline.name, self.version)
            return read_provenance(version, self.home).environment
        except ModelError:
            return None


def newest_version(pipeline: Pipeline, home: Home) -> int:
    """Return the number of the version that was trained last.

    Raises:
        UnknownNameError: there is none yet.
        StorageError: the ledger is gone.
    """
    record = Records(home).latest(pipeline.name, "train") if Ledger(home).exists else None
    named = model_of(record) if record else None
    if named is None:
        raise UnknownNameError(
            "there is no model version yet",
            where=pipeline.name,
            remedy=f"train one: factory run {pipeline.name}",
        )
    return named[1]


def version_records(
    pipeline: Pipeline,
    version: int,
    home: Home,
    history: RecordGraph | None = None,
    *,
    records: RecordGraph | None = None,
) -> VersionRecords:
    """Return the records behind a version, by what the ledger says of it last.

    Args:
        history: at least the records behind the version; None to read all records of the home.
        records: all records of the home that are to be believed; None to read them.

    Raises:
        UnknownNameError: the ledger has no such version.
        StorageError: the ledger or a record was changed.
    """
    names: dict[str, str | int] = {"pipeline": pipeline.name, "version": version}
    graph = history or records or RecordGraph.of(home)
    with Ledger(home).reading() as log:
        trained = latest_in(log, ModelTrained, ModelTrained.subject_of(**names))
        evaluated = latest_in(log, VerdictGiven, VerdictGiven.subject_of(**names))
        exported = latest_in(log, ModelExported, ModelExported.subject_of(**names))
    if trained is None:
        raise UnknownNameError(
            f"{pipeline.name}@{version} does not exist",
            remedy=f"train a version: factory run {pipeline.name}",
        )
    named = {record.name: record for record in graph.records}
    verdict = named.get(evaluated[1].record) if evaluated else None
    candidate = graph.candidate(pipeline.name, version)
    roots = [one for one in (verdict or candidate,) if one]
    found = _by_stage(pipeline.name, walk_upstream(roots, graph))
    # If the same training was computed again, its record is that of another version.
    found |= {"train": (candidate,)} if candidate else {"train": ()}
    if exported and (deployed := named.get(exported[1].record)):
        found["deploy"] = (deployed,)
    return VersionRecords(pipeline, version, trained[1].digest, home, found, records)


def _by_stage(pipeline: str, records: list[Record]) -> dict[Stage, tuple[Record, ...]]:
    own = [record for record in records if record.pipeline == pipeline]
    return {stage: tuple(one for one in own if one.stage == stage) for stage in STAGES}
