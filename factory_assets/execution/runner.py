"""Run one stage of a pipeline, or reuse its record; the same from the UI, a schedule and the CLI.

A stage is computed again only if its cache key changed (see `cache_key`) or a file that its record
names is gone. How Dagster calls this belongs in `components`.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from shutil import rmtree
from typing import TypeVar

from factory_assets.data.contract.table_checks import require_table
from factory_assets.data.leakage.policy import (
    REASONS,
    accepted_reasons,
    require_no_leaks,
    store_reasons,
)
from factory_assets.data.privacy.sensitive_columns import redact_errors, require_kept_out
from factory_assets.data.sources.partition_patterns import bind
from factory_assets.declarations.settings import load_settings
from factory_assets.execution.cache_key import asset_code_version, cache_key_components
from factory_assets.execution.costs import log_costs
from factory_assets.execution.ledger_entries import append_stage, begin_ledger, declaration_digest
from factory_assets.execution.loaded_components import (
    LOADED,
    actual_components,
    expected_components,
    foreseen,
)
from factory_assets.execution.requests import Inputs, StagePlan, StageRequest, StageRun
from factory_assets.execution.stage_checks import split_result, stage_checks
from factory_assets.results.base import KeyComponents, StageResult, digest, result_as
from factory_assets.results.data import CleanResult, IngestResult, SplitResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.latest import PARTITIONED, ResultQuery, require_records, value_of
from factory_assets.results.model import Candidate, Champion
from factory_assets.results.record_graph import tables_of
from factory_assets.results.stages import UPSTREAM, Stage
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.metering.meter import Meter, Rates
from factory_resources.tables.delta_log import publish, repair_log
from factory_resources.tables.logged_files import LOG, commit_digest
from factory_resources.tables.snapshot import exists
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry

V = TypeVar("V", bound=StageResult)


def run_stage(call: StageRequest) -> StageRun:
    """Compute the stage from the latest results of its inputs, or reuse its record.

    Raises:
        FactoryError: the stage rejects the data or the declaration.
    """
    names = [
        call.pipeline.name,
        call.stage,
        digest({"": _key(call)})[:16] if call.partition else "",
    ]
    name = ".".join(filter(None, names))
    require_kept_out(call.pipeline)
    # A mistake in the settings, which become entries, is not found after hours of training.
    load_settings()
    rates = Rates.from_env()
    # A second run of the same pipeline waits here, and then reuses what the first one computed.
    with (
        redact_errors(call.pipeline),
        storage_faults(call.home),
        call.home.working(),
        call.home.lock(name),
    ):
        warning = _restore_alias(call) if call.stage in {"evaluate", "deploy"} else None
        with plan_stage(call) as plan:
            if call.reuse and plan.record:
                run = _reuse(call, plan.record)
            else:
                run = _compute_and_record(call, plan, rates)
    return replace(run, warning=warning)


def _reuse(call: StageRequest, record: Record) -> StageRun:
    """Make the record the stage's latest, and the one that the run uses."""
    records, value = Records(call.home), value_of([record])
    if isinstance(value, IngestResult):
        # Data that was fresh enough at the time may be too old by now.
        require_table(call.pipeline, value.snapshot.rows, value.findings)
    if isinstance(value, Candidate):
        store_reasons(call.pipeline, split_result(call).leaks, value, Registry(call.home))
    restored = not records.is_latest(record)
    for snapshot in tables_of(value).values():
        if restored:
            # An older result is the latest again; the table's log still names the newer.
            publish(snapshot, call.home, _key(call))
        elif not call.partition:
            repair_log(snapshot, call.home)
    if restored or not call.partition:
        # There may be many partitions, and nearly all are unchanged.
        records.point(record, call.run_id)
    return StageRun(value, record, reused=True, changed=restored)


def _compute_and_record(call: StageRequest, plan: StagePlan, rates: Rates) -> StageRun:
    """Compute the stage. Its record is stored first, then counts by its entry, then is pointed at.

    Killed between two of these, the next run finds the old state, or the new one.
    """
    gc.enable()
    checkpoints = _checkpoints(call, digest(plan.components))
    if not call.reuse:
        rmtree(checkpoints, ignore_errors=True)
    with Meter(rates) as meter:
        value = plan.compute()
        cost = meter.read()
    components = actual_components(call, plan.components)
    record = Record(
        pipeline=call.pipeline.name,
        stage=call.stage,
        partition=_key(call),
        key=digest(components),
        parts=components,
        inputs=dict(plan.inputs),
        value=value.model_dump(mode="json"),
        data_version=value.data_version,
        run_id=call.run_id,
        seconds=cost.seconds,
        megabytes=cost.megabytes,
        cpu_seconds=cost.cpu_seconds,
        wh=cost.wh,
        method=cost.method,
        grid=cost.grid,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        salt=token_hex(16),
        commits=_commits(value, call.home),
    )
    # Not before something is stored: a run that fails at once leaves no trace.
    begin_ledger(call.home)
    version = log_costs(value, record, call.home)
    records = Records(call.home)
    file_digest = records.save(record)
    append_stage(call.pipeline, record, file_digest, [*stage_checks(call, value)], call.home)
    if LOADED in components:
        records.foresee(record, digest(foreseen(components)))
    records.point(record, call.run_id)
    if isinstance(value, Champion):
        Registry(call.home).set_alias(value.model, value.version)
    rmtree(checkpoints, ignore_errors=True)
    return StageRun(value, record, reused=False, changed=True, version=version)


@contextmanager
def plan_stage(call: StageRequest) -> Iterator[StagePlan]:
    """Decide whether the request must compute. Fetched sources exist until the block ends.

    Raises:
        FactoryError: an input has no result yet, or a source cannot be read.
    """
    upstream = {stage: _records(call, stage) for stage in UPSTREAM[call.stage]}
    inputs = {stage: value_of(records) for stage, records in upstream.items()}
    keys: dict[str, tuple[str, ...]] = {
        stage: tuple(record.key for record in records) for stage, records in upstream.items()
    }
    if call.stage == "train":
        require_no_leaks(call.pipeline, _as(SplitResult, inputs["split"]).leaks)
    if call.stage != "ingest":
        parts = cache_key_components(
            call.pipeline,
            call.stage,
            inputs,
            partition=call.partition,
            champion=_champion_to_beat(call, inputs) if call.stage == "evaluate" else None,
        )
        parts = expected_components(call, parts)
        folder = _checkpoints(call, digest(parts))
        yield StagePlan(parts, _reusable(call, parts), lambda: _compute(call, inputs, folder), keys)
        return
    from factory_assets.data.sources.discovery import discover_sources, sources_key

    with call.home.perhaps_scratch(call.engines.folder) as scratch:
        sources = discover_sources(
            bind(call.pipeline, call.partition), call.home, scratch, call.hashing
        )
        if call.partition:
            labels = call.partition.keys
            sources = tuple(replace(one, labels={**one.labels, **labels}) for one in sources)
        parts = cache_key_components(
            call.pipeline,
            "ingest",
            inputs,
            partition=call.partition,
            source=sources_key(sources),
        )
        parts = expected_components(call, parts)

        def compute() -> StageResult:
            from factory_assets.stages.ingest import ingest_sources

            call.home.require_writable()
            scratch.mkdir(exist_ok=True)
            blocks = cache_key_components(call.pipeline, "ingest", {})
            if latest := Records(call.home).latest(call.pipeline.name, "ingest", _key(call)):
                blocks = expected_components(call, blocks, latest)
            return ingest_sources(
                call.pipeline,
                sources,
                call.home,
                scratch,
                _key(call),
                key=blocks,
                engines=call.engines,
            )

        yield StagePlan(parts, _reusable(call, parts), compute, keys, sources)


def _key(call: StageRequest) -> str | None:
    return call.partition.key if call.partition else None


def _records(call: StageRequest, stage: Stage) -> list[Record]:
    partition = call.partition if stage in PARTITIONED else None
    return require_records(ResultQuery(call.pipeline, stage, call.home, call.run_id, partition))


def _reusable(call: StageRequest, parts: KeyComponents) -> Record | None:
    """Return the record with this key, if every file and version that it names still exists."""
    record = Records(call.home).find(call.pipeline.name, call.stage, digest(parts))
    if record is None:
        return None
    value = value_of([record])
    complete = all(exists(snapshot, call.home) for snapshot in tables_of(value).values())
    if isinstance(value, Champion):
        complete = Registry(call.home).champion(value.model) == value.version
    elif isinstance(value, Candidate):
        complete = Registry(call.home).has_version(value.model, value.version)
    elif isinstance(value, EvaluationResult):
        pictures = (call.home.pictures / path for path in value.pictures.values())
        complete = complete and all(path.is_file() for path in pictures)
    return record if complete else None


def _restore_alias(call: StageRequest) -> str | None:
    """Set MLflow's alias back to what the ledger says; return what it was if it was another."""
    registry, model = Registry(call.home), call.pipeline.name
    moved, champion = registry.moved_alias(model), registry.champion(model)
    if moved and champion and registry.has_version(model, champion):
        registry.set_alias(model, champion)
        return f"{moved}; the alias was set back"
    return moved


def _commits(value: StageResult, home: Home) -> dict[str, str]:
    """Return the newest commit of each table that the result names, with its digest."""
    found = {s.table: commit_digest(home.tables / s.table) for s in tables_of(value).values()}
    return {f"{table}/{LOG}/{commit[0]}": commit[1] for table, commit in found.items() if commit}


def _champion_to_beat(call: StageRequest, inputs: Inputs) -> int | None:
    """Return the champion's version; its predecessor's if the candidate is the champion already."""
    candidate = _as(Candidate, inputs["train"])
    champion = Registry(call.home).champion(candidate.model)
    if champion != candidate.version:
        return champion
    deployed = Records(call.home).latest(call.pipeline.name, "deploy")
    value = result_as(Champion, deployed) if deployed else None
    return value.replaced if value and value.version == champion else None


def _as(kind: type[V], value: StageResult) -> V:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value


def _checkpoints(call: StageRequest, key: str) -> Path:
    """Return the folder of the checkpoints of the computation with this cache key."""
    return call.home.checkpoints / call.pipeline.name / key


def _compute(call: StageRequest, inputs: Inputs, checkpoints: Path) -> StageResult:
    pipeline, home = call.pipeline, call.home
    match call.stage:
        case "clean":
            from factory_assets.stages.clean import clean

            blocks = cache_key_components(pipeline, "clean", {})
            ingested = _as(IngestResult, inputs["ingest"])
            return clean(pipeline, ingested, home, _key(call), key=blocks, engines=call.engines)
        case "split":
            from factory_assets.stages.split import split

            return split(pipeline, _as(CleanResult, inputs["clean"]), home)
        case "train":
            from factory_assets.execution.provenance import store_provenance
            from factory_assets.stages.train import train

            parts, tags = _as(SplitResult, inputs["split"]), _lineage(call, inputs)
            candidate = train(
                pipeline, parts, home, tags=tags, progress=call.progress, checkpoints=checkpoints
            )
            store_provenance(pipeline, parts, candidate, home)
            return candidate
        case "evaluate":
            from factory_assets.stages.evaluate import evaluate

            candidate, champion = _as(Candidate, inputs["train"]), _champion_to_beat(call, inputs)
            parts = _as(SplitResult, inputs["split"])
            return evaluate(
                pipeline, parts, candidate, home, champion=champion, progress=call.progress
            )
        case "deploy":
            from factory_assets.stages.deploy import deploy

            verdict = _as(EvaluationResult, inputs["evaluate"])
            candidate = _as(Candidate, inputs["train"])
            return deploy(pipeline, _as(SplitResult, inputs["split"]), candidate, verdict, home)
        case _:
            raise TypeError(f"{call.stage} is not computed from inputs alone")


def _lineage(call: StageRequest, inputs: Inputs) -> dict[str, str]:
    """Return the tags that link a model version to its run, its data and its code."""
    earlier: tuple[Stage, ...] = ("ingest", "clean")
    versions = {stage: value_of(_records(call, stage)).data_version for stage in earlier}
    versions |= {stage: value.data_version for stage, value in inputs.items()}
    why = accepted_reasons(call.pipeline, _as(SplitResult, inputs["split"]).leaks)
    return {
        **call.tags,
        **({REASONS: why} if why else {}),
        "factory.pipeline": call.pipeline.name,
        "factory.run_id": call.run_id,
        "factory.code_version": asset_code_version(call.pipeline, "train"),
        "factory.spec_sha256": declaration_digest(call.pipeline),
        **{f"factory.data_version.{stage}": version for stage, version in versions.items()},
    }
