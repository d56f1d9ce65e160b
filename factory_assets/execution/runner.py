"""Run one stage of a pipeline, or reuse its record; the same from the UI, a schedule and the CLI.

A stage is computed again only if its cache key changed (see `cache_key`) or a file that its record
names is gone. Deciding that and computing belongs in `workers`; how Dagster calls this, in
`components`.
"""

from dataclasses import replace
from datetime import UTC, datetime
from secrets import token_hex

from factory_assets.data.contract.table_checks import require_result
from factory_assets.data.leakage.policy import store_reasons
from factory_assets.data.privacy.sensitive_columns import redact_errors, require_kept_out
from factory_assets.declarations.settings import load_settings
from factory_assets.execution.asked_addresses import noticed_addresses
from factory_assets.execution.boundary_level import require_boundary
from factory_assets.execution.computation import forget_attempts, work_here
from factory_assets.execution.costs import log_costs
from factory_assets.execution.decisions import begin_if_allowed, enter_declared, serve_if_approved
from factory_assets.execution.ledger_entries import append_stage, begin_ledger, results_of
from factory_assets.execution.lineage_events import lineage_events
from factory_assets.execution.loaded_components import foreseen
from factory_assets.execution.people import require_people
from factory_assets.execution.requests import StageRequest, StageRun
from factory_assets.execution.sharing import catch_up_pipeline, is_shared, share_files
from factory_assets.execution.stage_checks import split_result, stage_checks
from factory_assets.execution.workers.worker import ComputedStage, ReusableStage, Worker
from factory_assets.results.base import StageResult, digest
from factory_assets.results.data import IngestResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.latest import value_of
from factory_assets.results.model import Candidate, Champion
from factory_assets.results.record_graph import tables_of
from factory_resources.delta_protocol import LOG
from factory_resources.erasure.listed_manifests import require_manifests
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.ledger.ledger import Ledger
from factory_resources.metering.meter import Rates
from factory_resources.sql.engine import interruptible
from factory_resources.tables.delta_log import publish, repair_log
from factory_resources.tables.logged_files import commit_digest
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry


def run_stage(call: StageRequest, worker: Worker = work_here) -> StageRun:
    """Compute the stage from the latest results of its inputs, or reuse its record.

    Args:
        worker: who computes it; what is computed is stored by this process in any case.

    Raises:
        FactoryError: the stage rejects the data or the declaration.
        KeyboardInterrupt: a signal has interrupted the stage.
    """
    names = [
        call.pipeline.name,
        call.stage,
        digest({"": call.partition_key})[:16] if call.partition else "",
    ]
    name = ".".join(filter(None, names))
    require_kept_out(call.pipeline)
    # A mistake in what becomes an entry is not found after hours of training.
    declared = load_settings()
    require_people(call.home)
    if call.stage == "ingest":
        require_manifests(call.home)
    require_boundary(call.pipeline)
    Rates.from_env()
    # A second run of the same pipeline waits here, and then reuses what the first one computed.
    if not call.partition:
        catch_up_pipeline(call.pipeline, call.home, whole=call.stage == "ingest")
    with (
        lineage_events(call, declared) as events,
        interruptible(),
        redact_errors(call.pipeline),
        noticed_addresses() as asked,
        storage_faults(call.home),
        call.home.working(),
        call.home.lock(name),
    ):
        warning = _restore_alias(call) if call.stage in {"evaluate", "deploy"} else None
        work = worker(call, events.started)
        with call.storing:
            if isinstance(work, ReusableStage):
                run = _reuse(call, work.record)
            else:
                run = _store(call, work)
                events.completed(run.record, run.value)
    noticed = (str(one) for one in asked if not one.is_loopback)
    warnings = [warning, *work.warnings, *noticed, events.warning]
    return replace(run, warning="; ".join(filter(None, warnings)) or None)


def _reuse(call: StageRequest, record: Record) -> StageRun:
    """Make the record the stage's latest, and the one that the run uses."""
    shared = is_shared(call.pipeline)
    records, value = Records(call.home, shared=shared), value_of([record])
    if isinstance(value, IngestResult):
        # Data that was fresh enough at the time may be too old by now.
        require_result(call.pipeline, value)
    if isinstance(value, Candidate):
        store_reasons(call.pipeline, split_result(call).leaks, value, Registry(call.home))
    restored = not records.is_latest(record)
    if restored:
        # Another home may have removed it from the store, since nothing needed it.
        share_files(call.pipeline, value, call.home)
        records.share(record)
    for snapshot in tables_of(value).values():
        if restored:
            # An older result is the latest again; the table's log still names the newer.
            publish(snapshot, call.home, call.partition_key, shared=shared)
        elif not call.partition:
            repair_log(snapshot, call.home, shared=shared)
    if restored and isinstance(value, EvaluationResult | Champion) and Ledger(call.home).exists:
        # Of several evaluations or exports of one version, the last entry is the one that holds.
        Ledger(call.home).append([*results_of(record)])
    if restored or not call.partition:
        # There may be many partitions, and nearly all are unchanged.
        records.point(record, call.run_id)
    if isinstance(value, Champion):
        restored |= serve_if_approved(call.pipeline, record, call.home)
    return StageRun(value, record, reused=True, changed=restored)


def _store(call: StageRequest, computed: ComputedStage) -> StageRun:
    """Store the record of a stage; then it counts by its entry, then it is pointed at.

    Killed between two of these, the next run finds the old state, or the new one.
    """
    value, cost, components = computed.value, computed.cost, computed.components
    shared = is_shared(call.pipeline)
    share_files(call.pipeline, value, call.home)
    for snapshot in tables_of(value).values():
        publish(snapshot, call.home, call.partition_key, shared=shared)
    record = Record(
        pipeline=call.pipeline.name,
        stage=call.stage,
        partition=call.partition_key,
        key=digest(components),
        parts=components,
        inputs=dict(computed.inputs),
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
    records, checks = Records(call.home, shared=shared), [*stage_checks(call, value)]
    with call.home.acting():
        # Of a stage that was computed again, the record of before stays until this one counts.
        file_digest = records.save(record)
        if isinstance(value, Champion):
            enter_declared(call.pipeline, call.home)
        append_stage(call.pipeline, record, file_digest, checks, call.home, begins=begin_if_allowed)
        records.put_in_place(record, file_digest)
        foreseen_key = digest(foreseen(components))
        if foreseen_key != record.key or records.foreseen(record.pipeline, call.stage, record.key):
            records.foresee(record, foreseen_key)
        records.point(record, call.run_id)
        if isinstance(value, Champion):
            Registry(call.home).mirror(value.model)
    forget_attempts(call, computed.planned_key)
    return StageRun(value, record, reused=False, changed=True, version=version)


def _restore_alias(call: StageRequest) -> str | None:
    """Set MLflow's alias back to what the ledger says; return what it was if it was another."""
    registry, model = Registry(call.home), call.pipeline.name
    moved, serving = registry.moved_alias(model), registry.serving(model)
    if moved and (serving is None or registry.has_version(model, serving)):
        registry.mirror(model)
        return f"{moved}; the alias was set back"
    return moved


def _commits(value: StageResult, home: Home) -> dict[str, str]:
    """Return the newest commit of each table that the result names, with its digest."""
    found = {s.table: commit_digest(home.tables / s.table) for s in tables_of(value).values()}
    return {f"{table}/{LOG}/{commit[0]}": commit[1] for table, commit in found.items() if commit}
