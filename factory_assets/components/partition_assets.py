"""The Dagster assets of a pipeline in partitions.

`ingest` and `clean` compute the partitions of a run, such as a backfill started in the UI.
`partitions` brings every partition that has data up to date: schedules, sensors and `factory run`
use it, so that nobody has to choose partitions. Each partition gets its own event. Dagster records
checks only for the asset that has them: `ingest` and `clean` combine theirs over the partitions of
a run, and `partitions` warns of those that fail. `execution.backfill` computes partitions.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import dagster as dg

from factory_assets.components.attributes import asset, asset_attributes, shared_attributes
from factory_assets.components.metadata.checks import check_specs, checks_of_error
from factory_assets.components.metadata.markdown import points
from factory_assets.components.metadata.stages import costs, describe
from factory_assets.components.partition_warnings import partition_warnings
from factory_assets.components.partitions import (
    PARTITIONS,
    PARTITIONS_PER_RUN,
    automation_of,
    dynamic_name,
    known_keys,
    partitions_def,
    read_by,
    upstream_of,
)
from factory_assets.components.run_context import stage_request, step_failure
from factory_assets.data.sources.partition_listing import patterns_of
from factory_assets.execution.backfill import (
    PartitionRun,
    Wanted,
    backfill,
    requested_partitions,
    wanted,
)
from factory_assets.execution.cache_key import asset_code_version
from factory_assets.execution.costs import CostTotal
from factory_assets.execution.progress import Counted, Progress
from factory_assets.execution.requests import StageRequest, StageRun
from factory_assets.execution.runner import run_stage
from factory_assets.execution.workers.local_processes import LocalProcesses
from factory_assets.execution.workers.room import require_room
from factory_assets.results.data import CleanResult
from factory_assets.results.latest import PARTITIONED
from factory_assets.results.stages import Stage
from factory_assets.spec import Partition, Pipeline
from factory_assets.spec.base import suggest
from factory_resources.errors import DataError, FactoryError, SourceError
from factory_resources.home.home import Home
from factory_resources.home.sqlite_files import event_logs_open
from factory_resources.tracking.records import Records


def partitioned_asset(pipeline: Pipeline, stage: Stage) -> dg.AssetsDefinition:
    """Return the asset `ingest` or `clean`, which computes the partitions of a run."""

    def _stage(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        progress: dg.ResourceParam[Progress],
    ) -> Iterator[Any]:
        call = stage_request(pipeline, stage, context, home, progress)
        progress.started(pipeline.name, stage)
        with _failing(context, call, progress):
            now, keys = datetime.now(UTC), context.partition_keys
            chosen, refused = requested_partitions(pipeline, keys, now, home)
            runs = list(backfill(run_stage, call, chosen, (stage,)))
        errors = refused | {run.partition.key: run.error for run in runs if run.error}
        succeeded = [(run.call, run.outcome) for run in runs if run.outcome]
        if errors:
            # Dagster records all partitions of a run or none, so record those that succeeded here.
            for own, outcome in succeeded:
                context.log_event(materialization(own, outcome))
            yield from combine_checks([checks_of_error(call, error) for error in errors.values()])
            raise dagster_failure(context, call, errors, progress)
        described = [describe(own, outcome) for own, outcome in succeeded]
        for (own, outcome), (metadata, _) in zip(succeeded, described, strict=True):
            progress.finished(pipeline.name, stage, outcome)
            assert own.partition is not None
            context.add_asset_metadata(metadata, partition_key=own.partition.key)
        versions = [outcome.value.data_version for _, outcome in succeeded]
        yield dg.MaterializeResult(
            check_results=combine_checks([checks for _, checks in described]),
            # Dagster accepts only one version for all partitions of a run; each partition's own
            # version is in its metadata.
            data_version=dg.DataVersion(combined_version(versions)),
        )

    return asset(
        _stage,
        key=[pipeline.name, stage],
        deps=upstream_of(pipeline, stage),
        partitions_def=partitions_def(pipeline),
        backfill_policy=dg.BackfillPolicy.multi_run(PARTITIONS_PER_RUN),
        check_specs=check_specs(pipeline, stage),
        **asset_attributes(pipeline, stage),
    )


def combined_version(versions: Sequence[str]) -> str:
    """Combine several data versions into one."""
    return versions[0] if len(versions) == 1 else sha256("\n".join(versions).encode()).hexdigest()


def dagster_failure(
    context: dg.AssetExecutionContext,
    call: StageRequest,
    errors: Mapping[str, FactoryError],
    progress: Progress,
) -> dg.Failure | dg.RetryRequested:
    """Report errors, given by partition key, and return what to raise in Dagster."""
    error = combined_error(errors)
    progress.failed(call.pipeline.name, call.stage, error)
    result = step_failure(context, error)
    result.__cause__ = error
    return result


@contextmanager
def _failing(
    context: dg.AssetExecutionContext, call: StageRequest, progress: Progress
) -> Iterator[None]:
    """Report an error that concerns all partitions, and raise it in Dagster."""
    try:
        yield
    except FactoryError as error:
        raise dagster_failure(context, call, {"": error}, progress) from error


class PartitionSelection(dg.Config):
    """Run configuration: which partitions, and which of their stages."""

    keys: list[str] = []
    """Keys of the partitions; if there are none, all partitions that have data."""
    stages: list[str] = [*PARTITIONED]


def partitions_asset(pipeline: Pipeline) -> dg.AssetsDefinition:
    """Return the asset that brings partitions up to date and reports how many there are."""

    def _partitions(
        context: dg.AssetExecutionContext,
        config: PartitionSelection,
        home: dg.ResourceParam[Home],
        progress: dg.ResourceParam[Progress],
        processes: dg.ResourceParam[LocalProcesses],
    ) -> dg.MaterializeResult:  # type: ignore[type-arg] # Dagster knows only the bare class
        call = stage_request(pipeline, "ingest", context, home, progress)
        call = replace(call, processes=processes)
        with _failing(context, call, progress):
            stages = _chosen_stages(pipeline, config.stages)
            progress.started(pipeline.name, stages[0])
            known = known_keys(pipeline, context.instance)
            selected = wanted(pipeline, datetime.now(UTC), known, home, config.keys)
            _require_some(pipeline, selected, home)
            if not call.cluster:
                require_room(pipeline, stages)
        for name, keys in selected.dynamic.items():
            context.instance.add_dynamic_partitions(dynamic_name(pipeline.name, name), list(keys))
        with _failing(context, call, progress), event_logs_open(home, call.run_id):
            runs = _with_events(context, backfill(run_stage, call, selected.partitions, stages))
        if errors := {run.partition.key: run.error for run in runs if run.error}:
            raise dagster_failure(context, call, errors, progress)
        for stage in stages:
            outcomes = [run.outcome for run in runs if run.outcome and run.call.stage == stage]
            progress.counted(pipeline.name, stage, _counted(outcomes, selected))
            of_stage = [run for run in runs if run.call.stage == stage]
            for warning in partition_warnings(pipeline, of_stage):
                context.log.warning(f"{stage}: {warning}")
                progress.warned(pipeline.name, stage, warning)
        return _result(selected, [run for run in runs if run.outcome])

    return asset(
        _partitions,
        key=[pipeline.name, PARTITIONS],
        deps=read_by(pipeline),
        automation_condition=automation_of(pipeline, None),
        kinds={"duckdb", "deltalake"},
        **shared_attributes(
            pipeline, "Ingests and cleans every partition that has data and needs it."
        ),
    )


def _chosen_stages(pipeline: Pipeline, names: Sequence[str]) -> list[Stage]:
    """Return the stages that a run configuration names, in their order.

    Raises:
        DataError: it names none, or something else.
    """
    for name in names or [""]:
        if name not in PARTITIONED:
            raise DataError(
                f"{name!r} is no stage that partitions have" if name else "no stage is named",
                where=f"{pipeline.name}/{PARTITIONS}: stages",
                remedy=suggest(name, PARTITIONED),
            )
    return [stage for stage in PARTITIONED if stage in names]


def _require_some(pipeline: Pipeline, selected: Wanted, home: Home) -> None:
    if not selected.partitions and not Records(home).partitions(pipeline.name, "ingest"):
        raise SourceError(
            "no partition has data yet",
            where=f"{pipeline.name}/ingest",
            remedy=f"add files that match {', '.join(text for _, text in patterns_of(pipeline))}",
        )


def _with_events(
    context: dg.AssetExecutionContext, runs: Iterable[PartitionRun]
) -> list[PartitionRun]:
    """Collect the runs, and record each in Dagster unless it is known there and unchanged."""
    known: dict[str, Set[str]] = {}
    collected = []
    for run in runs:
        collected.append(run)
        stage = run.call.stage
        if stage not in known:
            key = dg.AssetKey([run.call.pipeline.name, stage])
            known[stage] = context.instance.get_materialized_partitions(key)
        if run.outcome and (run.outcome.changed or run.partition.key not in known[stage]):
            context.log_event(materialization(run.call, run.outcome))
    return collected


def _counted(outcomes: Sequence[StageRun], selected: Wanted) -> Counted:
    computed = [outcome.record for outcome in outcomes if not outcome.reused]
    reused = [outcome.record for outcome in outcomes if outcome.reused]
    costs_computed, costs_saved = CostTotal.of(computed), CostTotal.of(reused)
    counts, left = (len(computed), len(reused)), (selected.absent, selected.gone)
    return Counted(*counts, *left, selected.impossible, costs_computed, costs_saved)


def _result(selected: Wanted, runs: Sequence[PartitionRun]) -> dg.MaterializeResult:  # type: ignore[type-arg]
    outcomes = [run.outcome for run in runs if run.outcome]
    tables = [one.value.snapshot for one in outcomes if isinstance(one.value, CleanResult)]
    return dg.MaterializeResult(
        metadata={
            "partitions": len(selected.partitions),
            "without data": selected.absent,
            "stored, but without files": len(selected.gone),
            "keys in names of files that none can have": len(selected.impossible),
            "dagster/row_count": sum(table.rows for table in tables),
            "size [MB]": sum(table.bytes for table in tables) / 1e6,
            **totals(outcomes),
        },
        data_version=dg.DataVersion(
            combined_version([one.record.data_version for one in outcomes])
        ),
    )


def key_of(partition: Partition) -> str:
    """Return the key in Dagster's form."""
    keys = dict(partition.keys)
    return dg.MultiPartitionKey(keys) if len(keys) > 1 else partition.key


def materialization(call: StageRequest, outcome: StageRun) -> dg.AssetMaterialization:
    """Return the event of one stage of one partition, with its own data version."""
    metadata, checks = describe(call, outcome)
    if failed := [check.description or "" for check in checks if not check.passed]:
        metadata["warnings"] = dg.MetadataValue.md(points(failed))
    assert call.partition is not None
    keys = call.partition.keys
    return dg.AssetMaterialization(
        asset_key=dg.AssetKey([call.pipeline.name, call.stage]),
        partition=key_of(call.partition),
        metadata=metadata,
        tags={
            # The tags that Dagster itself would write.
            "dagster/code_version": asset_code_version(call.pipeline, call.stage),
            "dagster/data_version": outcome.record.data_version,
            "dagster/data_version_is_user_provided": "true",
            **({f"dagster/partition/{n}": key for n, key in keys.items()} if len(keys) > 1 else {}),
        },
    )


def combine_checks(results: Sequence[Sequence[dg.AssetCheckResult]]) -> list[dg.AssetCheckResult]:
    """Combine the checks of several partitions of one asset, one result per check."""
    by_name: dict[str | None, list[dg.AssetCheckResult]] = {}
    for of_partition in results:
        for result in of_partition:
            by_name.setdefault(result.check_name, []).append(result)
    return [same[0] if len(same) == 1 else _combined(name, same) for name, same in by_name.items()]


def _combined(name: str | None, results: Sequence[dg.AssetCheckResult]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=results[0].asset_key,
        passed=all(result.passed for result in results),
        severity=max((r.severity for r in results), key=lambda s: s == dg.AssetCheckSeverity.ERROR),
        metadata={"partitions": len(results)},
    )


def combined_error(errors: Mapping[str, FactoryError]) -> FactoryError:
    """Combine the errors of partitions, given by key: the first error, and the other keys."""
    (key, first), *others = errors.items()
    if key:
        first.where = f"partition {key}: {first.where}" if first.where else f"partition {key}"
    if others:
        shown = ", ".join(other for other, _ in others[:5]) + ", …" * (len(others) > 5)
        first.what += f" ({len(others)} more failed: {shown})"
    return first


def totals(outcomes: Sequence[StageRun]) -> dict[str, Any]:
    """Return the metadata of what a run computed and what it reused."""
    computed = [outcome.record for outcome in outcomes if not outcome.reused]
    reused = [outcome.record for outcome in outcomes if outcome.reused]
    return {
        "reused": not computed,
        "computed": len(computed),
        "kept": len(reused),
        **costs("", CostTotal.of(computed)),
        **costs("saved ", CostTotal.of(reused)),
    }
