"""The digest of each kind of evidence about a version: over the values that it shows, alone.

A changed metric makes the answers stale that rest on metrics, and no others. Values that have their
default are left out: a later version of the factory, which measures more, has the same digest of
what was measured before. Showing the evidence belongs elsewhere.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from factory_assets.audit.requirements.catalogue import EvidenceKind
from factory_assets.audit.requirements.version_records import VersionRecords, version_records
from factory_assets.results.base import digest, result_as
from factory_assets.results.data import CleanResult, IngestResult, SplitResult
from factory_assets.results.stages import STAGES, Stage
from factory_assets.serving.declared_log import kept_days
from factory_assets.spec.evaluate import FAIRNESS
from factory_resources.errors import UnknownNameError
from factory_resources.ledger.entries import LedgerStarted, RunStarted
from factory_resources.ledger.ledger import Ledger, entry_in

_CALIBRATION = ("brier", "ece", "log_loss")


def evidence_digests(kinds: Iterable[EvidenceKind], shown: VersionRecords) -> dict[str, str]:
    """Return the SHA-256 of each kind of evidence about a version.

    Raises:
        StorageError: a record or the ledger was changed.
    """
    return {kind: digest(_VALUES[kind](shown)) for kind in kinds}


def _dumped(value: BaseModel | Iterable[BaseModel] | None, *without: str) -> Any:
    if value is None:
        return None
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True, exclude=set(without))
    return [_dumped(one, *without) for one in value]


def _components(shown: VersionRecords, stage: Stage, name: str) -> list[Any]:
    """Return the different values that a component has in the records of a stage."""
    values = (record.parts.get(name) for record in shown.by_stage.get(stage, ()))
    return [value for _, value in sorted({digest(value): value for value in values}.items())]


def _declared(shown: VersionRecords, stage: Stage, key: str) -> list[Any]:
    """Return what the declarations behind the records of a stage have under a key."""
    return [one.get(key) for one in _components(shown, stage, "declaration") if one]


def _version_chain(shown: VersionRecords) -> Any:
    return [shown.version, shown.model, shown.replaced]


def _version_difference(shown: VersionRecords) -> Any:
    """Return the components that differ from those of the version that was replaced."""
    if shown.replaced is None:
        return None
    try:
        before = version_records(shown.pipeline, shown.replaced, shown.home, records=shown.records)
    except UnknownNameError:
        return shown.replaced
    return [shown.replaced, {stage: _differences(before, shown, stage) for stage in STAGES}]


def _differences(before: VersionRecords, after: VersionRecords, stage: Stage) -> Any:
    names = {
        name for one in (before, after) for r in one.by_stage.get(stage, ()) for name in r.parts
    }
    pairs = {n: (_components(before, stage, n), _components(after, stage, n)) for n in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _sources(shown: VersionRecords) -> Any:
    ingested = shown.result("ingest", IngestResult)
    return _dumped(ingested.sources) if ingested else None


def _data_contract(shown: VersionRecords) -> Any:
    ingested, declared = (
        shown.result("ingest", IngestResult),
        _declared(shown, "ingest", "contract"),
    )
    if ingested is None:
        return [declared, None]
    return [declared, [ingested.rows_read, ingested.quarantined, ingested.ignored_columns]]


def _lineage(shown: VersionRecords) -> Any:
    cleaned = shown.result("clean", CleanResult)
    declared = _components(shown, "clean", "declaration")
    if cleaned is None:
        return [declared, None]
    counts = [cleaned.rows_in, cleaned.snapshot.rows, cleaned.quarantined, cleaned.duplicates]
    return [declared, counts]


def _personal_data(shown: VersionRecords) -> Any:
    columns = shown.pipeline.spec.ingest.contract.columns
    return [{c.name: c.sensitive for c in columns if c.sensitive}, _findings(shown, "personal")]


def _findings(shown: VersionRecords, name: str) -> list[Any]:
    """Return what was measured on each ingested table."""
    records = shown.by_stage.get("ingest", ())
    return [_dumped(result_as(IngestResult, one).findings).get(name) for one in records]


def _leaks(shown: VersionRecords) -> Any:
    parts = shown.result("split", SplitResult)
    return _dumped(parts.leaks) if parts else None


def _splits(shown: VersionRecords) -> Any:
    parts = shown.result("split", SplitResult)
    declared = _declared(shown, "split", "split")
    snapshots = (parts.train, parts.validation, parts.test) if parts else ()
    return [declared, [[one.rows, one.data_version] for one in snapshots]]


def _code(shown: VersionRecords) -> Any:
    names = ("code", "user code")
    return {stage: [_components(shown, stage, name) for name in names] for stage in STAGES}


def _environment(shown: VersionRecords) -> Any:
    found = shown.environment
    return [found.python, found.libraries, found.system] if found else None


def _hardware(shown: VersionRecords) -> Any:
    found = shown.environment
    return [found.processor, found.device, found.threads] if found else None


def _energy(shown: VersionRecords) -> Any:
    return [[one.wh, one.method, one.grid] for one in shown.by_stage.get("train", ())]


def _training(shown: VersionRecords) -> Any:
    measured = ("validation", "tuned", "provenance", "version", "run_id", "digest")
    return [_components(shown, "train", "declaration"), _dumped(shown.candidate, *measured)]


def _search(shown: VersionRecords) -> Any:
    return _dumped(shown.candidate.tuned) if shown.candidate else None


def _evaluated(*names: str) -> Callable[[VersionRecords], Any]:
    """Return a function that returns these fields of the evaluation."""

    def values(shown: VersionRecords) -> Any:
        if shown.evaluation is None:
            return None
        return shown.evaluation.model_dump(mode="json", exclude_defaults=True, include={*names})

    return values


def _fairness(shown: VersionRecords) -> Any:
    return [_evaluated("groups")(shown), _metrics_named(shown, FAIRNESS)]


def _calibration(shown: VersionRecords) -> Any:
    threshold = shown.candidate.threshold if shown.candidate else None
    return [_metrics_named(shown, _CALIBRATION), threshold]


def _metrics_named(shown: VersionRecords, names: Iterable[str]) -> dict[str, float]:
    metrics = shown.evaluation.metrics if shown.evaluation else {}
    return {name: metrics[name] for name in names if name in metrics}


def _gates(shown: VersionRecords) -> Any:
    return _dumped(shown.evaluation.gates, "explanation") if shown.evaluation else None


def _approvals(shown: VersionRecords) -> Any:
    """Return who must approve: the approvals themselves come after what they read."""
    return _dumped(shown.pipeline.spec.deploy.approval)


def _interface(shown: VersionRecords) -> Any:
    one = shown.candidate
    if one is None:
        return None
    times = [one.times] if one.times else []
    return [one.task, one.target, one.classes, one.numeric, one.categorical, *times]


def _prediction_log(shown: VersionRecords) -> Any:
    return shown.pipeline.spec.deploy.log.sensitive


def _drift(shown: VersionRecords) -> Any:
    return [_dumped(shown.pipeline.spec.watch), _findings(shown, "drift")]


def _retention(shown: VersionRecords) -> Any:
    return kept_days(shown.pipeline.name)


def _ledger(shown: VersionRecords) -> Any:
    """Return the identity of the ledger, not its entries, which grow by the hour."""
    with Ledger(shown.home).reading() as log:
        first = entry_in(log, 0)
    return [first.origin, first.key] if isinstance(first, LedgerStarted) else None


def _boundary(shown: VersionRecords) -> Any:
    """Return what is declared, and how much held around the training."""
    ledger = Ledger(shown.home)
    runs = [RunStarted.subject_of(run=one.run_id) for one in shown.by_stage.get("train", ())]
    started = [ledger.latest(RunStarted, run) for run in runs]
    return [_dumped(shown.pipeline.spec.boundary), [one[1].boundary for one in started if one]]


_VALUES: Mapping[EvidenceKind, Callable[[VersionRecords], Any]] = {
    "version_chain": _version_chain,
    "version_difference": _version_difference,
    "sources": _sources,
    "data_contract": _data_contract,
    "lineage": _lineage,
    "personal_data": _personal_data,
    "leaks": _leaks,
    "splits": _splits,
    "code": _code,
    "environment": _environment,
    "hardware": _hardware,
    "energy": _energy,
    "training": _training,
    "search": _search,
    "metrics": _evaluated("metrics", "intervals", "baselines", "champion", "folds", "at_half"),
    "slices": _evaluated("slices"),
    "fairness": _fairness,
    "robustness": _evaluated("robustness"),
    "calibration": _calibration,
    "gates": _gates,
    "approvals": _approvals,
    "interface": _interface,
    "influence": _evaluated("influence", "importances"),
    "prediction_log": _prediction_log,
    "drift": _drift,
    "retention": _retention,
    "ledger": _ledger,
    "boundary": _boundary,
}
