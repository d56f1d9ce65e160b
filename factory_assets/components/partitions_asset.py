"""The asset `partitions`: every partition that has data is brought up to date.

Schedules, sensors and `factory run` go through it; no one has to choose partitions.
"""

from collections.abc import Iterable, Sequence, Set
from datetime import UTC, datetime

import dagster as dg

from factory_assets.components.calls import call_of
from factory_assets.components.looks import asset, looks_of
from factory_assets.components.partition_assets import failed, together
from factory_assets.components.partitions import PARTITIONS, dynamic_name, known_keys
from factory_assets.components.told import materialization, totals
from factory_assets.data.sources.partition_listing import patterns_of
from factory_assets.declarations.dependencies import upstream_keys
from factory_assets.execution.backfill import Refreshed, Wanted, refresh, wanted
from factory_assets.execution.costs import Total
from factory_assets.execution.progress import Counted, Progress
from factory_assets.execution.requests import Outcome
from factory_assets.results.data import Cleaned
from factory_assets.results.latest import PARTITIONED
from factory_assets.spec import Pipeline
from factory_resources.errors import FactoryError, SourceError
from factory_resources.home.home import Home
from factory_resources.tracking.records import Records
from schedules.automation import on_new_data


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
        done = _done(context, refresh(call, asked.partitions, stages))
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


def _done(context: dg.AssetExecutionContext, results: Iterable[Refreshed]) -> list[Refreshed]:
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


def _counted(outcomes: Sequence[Outcome], absent: int) -> Counted:
    made = [outcome.record for outcome in outcomes if not outcome.reused]
    kept = [outcome.record for outcome in outcomes if outcome.reused]
    return Counted(len(made), len(kept), absent, Total.of(made), Total.of(kept))


def _result(asked: Wanted, done: Sequence[Refreshed]) -> dg.MaterializeResult:  # type: ignore[type-arg]
    outcomes = [one.outcome for one in done if one.outcome]
    tables = [one.value.snapshot for one in outcomes if isinstance(one.value, Cleaned)]
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
