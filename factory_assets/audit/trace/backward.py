"""Trace back: from a model version or a snapshot, step by step, to its sources.

Includes which source columns each feature of a model, or each column of a table, comes from.
Tracing a single row belongs in `rows`.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from factory_assets.audit.erased import erasures_behind, erasures_from
from factory_assets.audit.references import snapshot_name, step_name
from factory_assets.audit.trace.artifacts import artifact_states, check_metrics
from factory_assets.audit.trace.report import (
    ColumnOrigin,
    GateOutcome,
    ModelFact,
    Source,
    Step,
    Table,
)
from factory_assets.audit.trace.sources import Folders, source_fact
from factory_assets.audit.trace.verification import Checker, worst
from factory_assets.audit.upstream import missing_inputs
from factory_assets.data.transforms.column_lineage import (
    Origins,
    clean_origins,
    formulas,
    parse_clean,
    source_origins,
)
from factory_assets.execution.standing import champions_in
from factory_assets.ml.artifacts.trained_model import MODEL_TAG
from factory_assets.results.base import digest
from factory_assets.results.data import CleanResult, IngestResult, SplitResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Candidate
from factory_assets.results.record_graph import RecordGraph, tables_of, value_in
from factory_resources.ledger.ledger import Ledger
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry, Version


def describe_step(record: Record, history: RecordGraph, checker: Checker) -> Step:
    """Describe a computed stage, and check its tables and its record."""
    checker.record(record)
    _check_logs(record, history, checker)
    rows, rules, conserved = _counts(record, history)
    if conserved is False:
        checker.problems.append(f"{step_name(record)}: its rows do not add up")
    inputs = history.inputs(record)
    # A partition that somebody alone had rows in was erased as a whole.
    missing = [path for path in missing_inputs(record, history) if path not in checker.erased]
    if missing:
        checker.problems.append(
            f"{step_name(record)}: {len(missing)} of the records behind it are missing"
        )
    parts = record.parts
    return Step(
        name=step_name(record),
        pipeline=record.pipeline,
        stage=record.stage,
        partition=record.partition,
        key=record.key,
        data_version=record.data_version,
        run_id=record.run_id,
        finished=record.finished,
        code=parts.get("code"),
        declaration=digest(parts.get("declaration")),
        libraries=parts.get("libraries") or {},
        rows=rows,
        rules=rules,
        conserved=conserved,
        tables=tuple(_tables(record, checker)),
        inputs=tuple(map(step_name, inputs)),
    )


def describe_sources(
    record: Record,
    history: RecordGraph,
    folders: Folders | None,
    checker: Checker,
    only: str | None = None,
) -> Iterable[Source]:
    """Yield the sources of an ingest, or only the one with a digest; none for other stages."""
    value = value_in(record)
    read = history.read_from(record)
    for source in value.sources if isinstance(value, IngestResult) else ():
        if only not in {None, source.sha256}:
            continue
        snapshot = step_name(read[source.sha256].record) if source.sha256 in read else None
        yield source_fact(source, record, snapshot, folders, checker.verify, history.home)


def describe_model(
    version: Version,
    records: Sequence[Record],
    history: RecordGraph,
    registry: Registry,
    checker: Checker,
) -> ModelFact:
    """Describe a model version, and check that MLflow agrees with the records.

    Args:
        records: all behind it.
    """
    name = f"{version.model}@{version.version}"
    record = history.candidate(version.model, version.version)
    if record is None:
        checker.problems.append(f"no record says how {name} was trained")
    value = value_in(record) if record else None
    candidate = value if isinstance(value, Candidate) else None
    if record and candidate:
        _check_registered(version, record, candidate, checker)
        if checker.has_metrics:
            check_metrics(version, record, history, registry, checker)
    digest = candidate.digest if candidate else version.tags.get(MODEL_TAG, "")
    if moved := registry.moved_alias(version.model):
        checker.problems.append(moved)
    verdicts = history.about(version.model, version.version, "evaluate")
    verdict = value_in(verdicts[-1]) if verdicts else None
    evaluation = verdict if isinstance(verdict, EvaluationResult) else None
    erased = tuple(erasures_from(version.model, version.version, history.home))
    behind = erasures_behind([one.name for one in records], history.home)
    return ModelFact(
        name=name,
        kind=candidate.kind if candidate else "",
        task=candidate.task if candidate else "",
        target=candidate.target if candidate else "",
        digest=digest,
        state=worst(
            [
                checker.model(version.files, digest, name),
                *artifact_states(version, history, registry, checker),
            ]
        ),
        champion=registry.champion(version.model) == version.version,
        passed=evaluation.passed if evaluation else None,
        gates=tuple(
            GateOutcome(name=g.name, passed=g.passed, explanation=g.explanation)
            for g in (evaluation.gates if evaluation else ())
        ),
        metrics=evaluation.metrics if evaluation else {},
        deployed=_made_champion(version, history),
        mlflow_run=version.run_id,
        run_id=version.tags.get("factory.run_id"),
        code_version=version.tags.get("factory.code_version"),
        spec_sha256=version.tags.get("factory.spec_sha256"),
        erased=erased,
        erased_beside=tuple(one for one in behind if one not in erased),
    )


def _check_registered(
    version: Version, record: Record, candidate: Candidate, checker: Checker
) -> None:
    """Check that MLflow names the files, the run and the split that the record does."""
    tags, inputs = version.tags, record.parts.get("inputs", {})
    for what, registered, recorded in (
        ("digest", tags.get(MODEL_TAG, ""), candidate.digest),
        ("run", version.run_id, candidate.run_id),
        ("split", tags.get("factory.data_version.split"), inputs.get("split")),
    ):
        if registered != recorded:
            name = f"{version.model}@{version.version}"
            checker.problems.append(f"{name}: MLflow names another {what} than the record")


def _made_champion(version: Version, history: RecordGraph) -> tuple[str, ...]:
    """Return when the ledger made a version the champion: an export may wait, or be a canary."""
    exported = {r.name: r.finished for r in history.about(version.model, version.version, "deploy")}
    ledger = Ledger(history.home)
    if not ledger.exists:
        return tuple(exported.values())
    with ledger.reading() as log:
        made = [entry for _, entry in reversed(champions_in(log, version.model))]
    return tuple(
        exported.get(entry.record, entry.time) if entry.found else entry.time
        for entry in made
        if entry.version == version.version
    )


def _check_logs(record: Record, history: RecordGraph, checker: Checker) -> None:
    """Compare the logs of the record's tables with the records that form these tables now."""
    current = Records(history.home).current(record.pipeline, record.stage)
    latest = [(one.partition, tables_of(value_in(one))) for one in current]
    for part, snapshot in tables_of(value_in(record)).items():
        checker.log(
            snapshot.table,
            {partition: tables[part] for partition, tables in latest if part in tables},
            # A run without such rows leaves the quarantine of the run before in the log.
            complete=part != "quarantine",
        )


def _tables(record: Record, checker: Checker) -> Iterable[Table]:
    for part, snapshot in tables_of(value_in(record)).items():
        files = checker.files(snapshot)
        yield Table(
            name=snapshot_name(record.pipeline, record.stage, part, snapshot.data_version),
            part=part,
            data_version=snapshot.data_version,
            rows=snapshot.rows,
            state=worst(file.state for file in files),
            files=files,
        )


def _counts(
    record: Record, history: RecordGraph
) -> tuple[dict[str, int], dict[str, int], bool | None]:
    """Return rows by what happened to them, rows by broken rule, and whether they add up."""
    value = value_in(record)
    match value:
        case IngestResult():
            kept, broken = value.snapshot.rows, value.quarantined_rows
            rows = {"read": value.rows_read, "kept": kept, "quarantined": broken}
            return rows, value.quarantined, value.rows_read == kept + broken
        case CleanResult():
            kept, broken = value.snapshot.rows, value.quarantined_rows
            rows = {"in": value.rows_in, "kept": kept, "quarantined": broken}
            rows["duplicates"] = value.duplicates
            add_up = value.rows_in == kept + broken + value.duplicates
            conserved = add_up and _matches_inputs(record, history, value.rows_in)
            return rows, value.quarantined, conserved
        case SplitResult():
            parts = {name: snapshot.rows for name, snapshot in tables_of(value).items()}
            return parts, {}, _matches_inputs(record, history, sum(parts.values()))
        case Candidate():
            return {"learned from": value.rows}, {}, None
        case EvaluationResult():
            return {"judged": value.predictions.rows}, {}, None
        case _:
            return {}, {}, None


def _matches_inputs(record: Record, history: RecordGraph, rows: int) -> bool:
    """Whether the input tables contain this many rows; True if one of their records is gone."""
    inputs = history.inputs(record)
    if len(inputs) < sum(map(len, record.inputs.values())):
        return True
    return rows == sum(tables_of(value_in(before))["snapshot"].rows for before in inputs)


def describe_columns(
    record: Record, history: RecordGraph, candidate: Candidate | None = None
) -> tuple[ColumnOrigin, ...]:
    """Describe the columns of a stage's table, or only a model's features and target.

    Args:
        record: of ingest, clean or split; for a model, of the split that it learned from.
        candidate: the model.
    """
    ingest, clean = (
        _record_of_stage(record, history, "ingest"),
        _record_of_stage(record, history, "clean"),
    )
    if ingest is None:
        return ()
    sources = _source_columns(ingest, history)
    spec = parse_clean(clean.parts.get("declaration")) if clean else None
    cleaned: Origins = clean_origins(spec, tuple(sources)) if spec else {n: (n,) for n in sources}
    expressions = formulas(spec) if spec else {}
    names: Sequence[str] = tuple(cleaned)
    if candidate:
        names = (*candidate.inputs, candidate.target)
    return tuple(
        ColumnOrigin(
            name=name,
            role=_role(name, candidate),
            ingested=cleaned.get(name, ()),
            sources=_flat(sources.get(column, ()) for column in cleaned.get(name, ())),
            by=expressions.get(name),
        )
        for name in names
    )


def _source_columns(ingest: Record, history: RecordGraph) -> Origins:
    """Map each ingested column to source columns, through other pipelines to the first one."""
    value = value_in(ingest)
    assert isinstance(value, IngestResult)
    columns = tuple(value.snapshot.columns)
    direct = source_origins(ingest.parts["declaration"], columns, value.labels, value.added)
    # One record per stage is enough: all its partitions are computed in the same way.
    inputs = {(r.pipeline, r.stage): r for r in history.inputs(ingest)}
    upstream = {
        f"{record.pipeline}/{record.stage}.{column.name}": column.sources
        for record in inputs.values()
        for column in describe_columns(record, history)
    }
    return {name: _flat(upstream.get(o, (o,)) for o in origins) for name, origins in direct.items()}


def _flat(origins: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in origins for name in names))


def _role(name: str, candidate: Candidate | None) -> Literal["feature", "target", "column"]:
    if candidate is None:
        return "column"
    return "target" if name == candidate.target else "feature"


def _record_of_stage(record: Record, history: RecordGraph, stage: str) -> Record | None:
    """Return the record itself, or the first record of the stage that it depends on.

    Only records of the same pipeline are considered.
    """
    if record.stage == stage:
        return record
    for before in history.inputs(record):
        if before.pipeline == record.pipeline and (
            found := _record_of_stage(before, history, stage)
        ):
            return found
    return None
