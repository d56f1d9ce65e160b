"""The assets `ingest` and `clean` of a pipeline in partitions, for the partitions of a run.

A backfill from the UI comes here.

The asset `partitions`: every partition that has data is brought up to date.

Schedules, sensors and `factory run` go through it; no one has to choose partitions.

What Dagster is told of partitions: each its own materialisation, and the checks of all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import dagster as dg

from factory_assets.components.attributes import asset, asset_attributes, looks_of
from factory_assets.components.metadata.checks import broken_checks, check_specs
from factory_assets.components.metadata.stages import costs, describe
from factory_assets.components.partitions import (
    AT_ONCE,
    PARTITIONS,
    dynamic_name,
    known_keys,
    partitions_def,
    upstream_of,
)
from factory_assets.components.run_context import call_of
from factory_assets.data.sources.partition_listing import patterns_of
from factory_assets.declarations.dependencies import upstream_keys
from factory_assets.execution.backfill import PartitionRun, Wanted, backfill, wanted
from factory_assets.execution.cache_key import asset_code_version
from factory_assets.execution.costs import CostTotal
from factory_assets.execution.progress import Counted, Progress
from factory_assets.execution.requests import StageRequest, StageRun
from factory_assets.results.data import CleanResult
from factory_assets.results.latest import PARTITIONED
from factory_assets.results.stages import Stage
from factory_assets.spec import Partition, Pipeline, partition_of
from factory_resources.errors import FactoryError, SourceError
from factory_resources.home.home import Home
from factory_resources.tracking.records import Records
from schedules.automation import on_new_data


def partitioned_asset(pipeline: Pipeline, stage: Stage) -> dg.AssetsDefinition:
    """`ingest` or `clean`, for the partitions of a run."""

    def _stage(
        context: dg.AssetExecutionContext,
        home: dg.ResourceParam[Home],
        progress: dg.ResourceParam[Progress],
    ) -> Iterator[Any]:
        call = call_of(pipeline, stage, context, home, progress)
        progress.started(pipeline.name, stage)
        chosen = [_partition(pipeline, key) for key in context.partition_keys]
        done = list(backfill(call, chosen, (stage,)))
        errors = {one.partition.key: one.error for one in done if one.error}
        good = [(one.call, one.outcome) for one in done if one.outcome]
        if errors:
            # Dagster tells of all partitions of a run or of none; of those that are done, we do.
            for own, outcome in good:
                context.log_event(materialization(own, outcome))
            yield from checks_of_all([broken_checks(call, error) for error in errors.values()])
            raise failed(call, errors, progress)
        described = [describe(own, outcome) for own, outcome in good]
        for (own, outcome), (metadata, _) in zip(good, described, strict=True):
            progress.finished(pipeline.name, stage, outcome)
            assert own.partition is not None
            context.add_asset_metadata(metadata, partition_key=own.partition.key)
        versions = [outcome.value.data_version for _, outcome in good]
        yield dg.MaterializeResult(
            check_results=checks_of_all([checks for _, checks in described]),
            # One for all partitions of a run, because Dagster knows no other way; each has its own
            # among its metadata.
            data_version=dg.DataVersion(together(versions)),
        )

    return asset(
        _stage,
        key=[pipeline.name, stage],
        deps=upstream_of(pipeline, stage) or upstream_keys(pipeline),
        partitions_def=partitions_def(pipeline),
        backfill_policy=dg.BackfillPolicy.multi_run(AT_ONCE),
        check_specs=check_specs(pipeline, stage),
        **asset_attributes(pipeline, stage),
    )


def _partition(pipeline: Pipeline, key: str) -> Partition:
    partition = partition_of(pipeline.spec.partitions, key)
    if partition is None:
        raise dg.Failure(f"{pipeline.name}: there is no partition {key!r}", allow_retries=False)
    return partition


def together(versions: Sequence[str]) -> str:
    """One data version of several."""
    return versions[0] if len(versions) == 1 else sha256("\n".join(versions).encode()).hexdigest()


def failed(
    call: StageRequest, errors: Mapping[str, FactoryError], progress: Progress
) -> dg.Failure:
    """How Dagster is told of errors, by the key of their partition."""
    error = failure(errors)
    progress.failed(call.pipeline.name, call.stage, error)
    made = dg.Failure(str(error), allow_retries=False)
    made.__cause__ = error
    return made


class Chosen(dg.Config):
    """Which partitions, and how far."""

    keys: list[str] = []
    """Of the partitions; all that have data where there is none."""
    stages: list[str] = [*PARTITIONED]


def partitions_asset(pipeline: Pipeline) -> dg.AssetsDefinition:
    """Brings partitions up to date, and says how many there are."""
    read = upstream_keys(pipeline)

    def _partitions(
        context: dg.AssetExecutionContext,
        config: Chosen,
        home: dg.ResourceParam[Home],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:  # type: ignore[type-arg] # Dagster knows only the bare class
        call = call_of(pipeline, "ingest", context, home, progress)
        stages = [stage for stage in PARTITIONED if stage in config.stages]
        progress.started(pipeline.name, stages[0])
        try:
            known = known_keys(pipeline, context.instance)
            asked = wanted(pipeline, datetime.now(UTC), known, home, config.keys)
            _require_some(pipeline, asked, home)
        except FactoryError as error:
            raise failed(call, {"": error}, progress) from error
        for name, keys in asked.dynamic.items():
            context.instance.add_dynamic_partitions(dynamic_name(pipeline.name, name), list(keys))
        done = _done(context, backfill(call, asked.partitions, stages))
        if errors := {one.partition.key: one.error for one in done if one.error}:
            raise failed(call, errors, progress)
        for stage in stages:
            own = [one.outcome for one in done if one.outcome and one.call.stage == stage]
            progress.counted(pipeline.name, stage, _counted(own, asked.absent))
        return _result(asked, [one for one in done if one.outcome])

    return asset(
        _partitions,
        key=[pipeline.name, PARTITIONS],
        deps=read,
        automation_condition=on_new_data() if read else None,
        kinds={"duckdb", "deltalake"},
        **looks_of(pipeline, "Every partition that has data, ingested and cleaned where needed."),
    )


def _require_some(pipeline: Pipeline, asked: Wanted, home: Home) -> None:
    if not asked.partitions and not Records(home).partitions(pipeline.name, "ingest"):
        raise SourceError(
            "no partition has data yet",
            where=f"{pipeline.name}/ingest",
            remedy=f"these are looked for: {', '.join(text for _, text in patterns_of(pipeline))}",
        )


def _done(context: dg.AssetExecutionContext, results: Iterable[PartitionRun]) -> list[PartitionRun]:
    """The results, of which Dagster is told as they come, where it does not know them already."""
    known: dict[str, Set[str]] = {}
    done = []
    for one in results:
        done.append(one)
        stage = one.call.stage
        if stage not in known:
            key = dg.AssetKey([one.call.pipeline.name, stage])
            known[stage] = context.instance.get_materialized_partitions(key)
        if one.outcome and (one.outcome.changed or one.partition.key not in known[stage]):
            context.log_event(materialization(one.call, one.outcome))
    return done


def _counted(outcomes: Sequence[StageRun], absent: int) -> Counted:
    made = [outcome.record for outcome in outcomes if not outcome.reused]
    kept = [outcome.record for outcome in outcomes if outcome.reused]
    return Counted(len(made), len(kept), absent, CostTotal.of(made), CostTotal.of(kept))


def _result(asked: Wanted, done: Sequence[PartitionRun]) -> dg.MaterializeResult:  # type: ignore[type-arg]
    outcomes = [one.outcome for one in done if one.outcome]
    tables = [one.value.snapshot for one in outcomes if isinstance(one.value, CleanResult)]
    return dg.MaterializeResult(
        metadata={
            "partitions": len(asked.partitions),
            "without data": asked.absent,
            "dagster/row_count": sum(table.rows for table in tables),
            "size [MB]": sum(table.bytes for table in tables) / 1e6,
            **totals(outcomes),
        },
        data_version=dg.DataVersion(together([one.record.data_version for one in outcomes])),
    )


def key_of(partition: Partition) -> str:
    """The key as Dagster has it."""
    keys = dict(partition.keys)
    return dg.MultiPartitionKey(keys) if len(keys) > 1 else partition.key


def materialization(call: StageRequest, outcome: StageRun) -> dg.AssetMaterialization:
    """The event of one stage of one partition, with its own data version."""
    metadata, _ = describe(call, outcome)
    assert call.partition is not None
    keys = call.partition.keys
    return dg.AssetMaterialization(
        asset_key=dg.AssetKey([call.pipeline.name, call.stage]),
        partition=key_of(call.partition),
        metadata=metadata,
        tags={
            # As Dagster itself would write them.
            "dagster/code_version": asset_code_version(call.pipeline, call.stage),
            "dagster/data_version": outcome.record.data_version,
            "dagster/data_version_is_user_provided": "true",
            **({f"dagster/partition/{n}": key for n, key in keys.items()} if len(keys) > 1 else {}),
        },
    )


def checks_of_all(results: Sequence[Sequence[dg.AssetCheckResult]]) -> list[dg.AssetCheckResult]:
    """The checks of several partitions of one asset, each as one."""
    by_name: dict[str | None, list[dg.AssetCheckResult]] = {}
    for own in results:
        for result in own:
            by_name.setdefault(result.check_name, []).append(result)
    return [same[0] if len(same) == 1 else _one(name, same) for name, same in by_name.items()]


def _one(name: str | None, results: Sequence[dg.AssetCheckResult]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=results[0].asset_key,
        passed=all(result.passed for result in results),
        severity=max((r.severity for r in results), key=lambda s: s == dg.AssetCheckSeverity.ERROR),
        metadata={"partitions": len(results)},
    )


def failure(errors: Mapping[str, FactoryError]) -> FactoryError:
    """One error for the partitions that failed, by key: the first, and which others."""
    (key, first), *others = errors.items()
    if key:
        first.where = f"partition {key}: {first.where}" if first.where else f"partition {key}"
    if others:
        shown = ", ".join(other for other, _ in others[:5]) + ", …" * (len(others) > 5)
        first.what += f" ({len(others)} more failed: {shown})"
    return first


def totals(outcomes: Sequence[StageRun]) -> dict[str, Any]:
    """Metadata of what a run computed and what it reused."""
    made = [outcome.record for outcome in outcomes if not outcome.reused]
    kept = [outcome.record for outcome in outcomes if outcome.reused]
    return {
        "reused": not made,
        "computed": len(made),
        "kept": len(kept),
        **costs("", CostTotal.of(made)),
        **costs("saved ", CostTotal.of(kept)),
    }
