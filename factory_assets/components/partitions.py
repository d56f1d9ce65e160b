"""Translate a declaration's partitions into Dagster's, with the same keys.

Which partitions have data belongs in `data.sources.partition_listing`.
"""

from collections.abc import Iterable, Sequence

import dagster as dg

from factory_assets.declarations.dependencies import pipelines_read, upstream_keys
from factory_assets.declarations.loader import pipeline_named
from factory_assets.results.latest import PARTITIONED
from factory_assets.results.stages import UPSTREAM, Stage
from factory_assets.spec import Pipeline, partition_of
from factory_assets.spec.calendar import CRON, FORMATS, floor
from factory_assets.spec.partitions import (
    Dimension,
    DynamicPartitions,
    ListedPartitions,
    TimePartitions,
)
from schedules.automation import on_new_data

PARTITIONS_PER_RUN = 100
"""Maximum number of partitions in one run of a backfill.

One process per partition would take longer to start than to run. A run that fails is repeated as a
whole, but reuses what it has recorded.
"""


PARTITIONS = "partitions"
"""Last part of the key of the asset that brings partitions up to date."""


def upstream_of(pipeline: Pipeline, stage: Stage) -> list[dg.AssetDep]:
    """Return what a stage depends on: the stages before it, and the partitions being up to date.

    For `ingest`, and for what brings its partitions up to date: see `read_by`.
    """
    before = [dg.AssetDep([pipeline.name, name]) for name in UPSTREAM[stage]]
    if pipeline.spec.partitions and "clean" in UPSTREAM[stage]:
        before.append(dg.AssetDep([pipeline.name, PARTITIONS]))
    return before or read_by(pipeline)


def read_by(pipeline: Pipeline) -> list[dg.AssetDep]:
    """Return the assets whose tables a pipeline reads, each as a whole, and of those in partitions
    also the asset that brings them up to date."""
    names = _read_in_partitions(pipeline)
    whole = dg.AllPartitionMapping()
    deps = [
        dg.AssetDep(key, partition_mapping=whole if key[0] in names else None)
        for key in upstream_keys(pipeline)
    ]
    return [*deps, *(dg.AssetDep([name, PARTITIONS]) for name in names)]


def automation_of(pipeline: Pipeline, stage: Stage | None) -> dg.AutomationCondition | None:  # type: ignore[type-arg] # as in `on_new_data`
    """Return when an asset runs by itself; None if the pipeline reads no other asset.

    Args:
        stage: None for the asset that brings partitions up to date.
    """
    if not upstream_keys(pipeline):
        return None
    names = [pipeline.name] if pipeline.spec.partitions else []
    if stage is None or not UPSTREAM[stage]:
        names = _read_in_partitions(pipeline)
    return on_new_data(dg.AssetKey([name, one]) for name in names for one in PARTITIONED)


def _read_in_partitions(pipeline: Pipeline) -> list[str]:
    """Return the names of the pipelines in partitions that a pipeline reads, each once."""
    read = {name: pipeline_named(name) for name in pipelines_read(pipeline)}
    return [name for name, other in read.items() if other and other.spec.partitions]


def partitions_def(pipeline: Pipeline) -> dg.PartitionsDefinition[str] | None:
    """Return the partitions of `ingest` and `clean`; None for a pipeline without partitions."""
    dimensions = {
        name: _dimension(pipeline.name, name, dimension)
        for name, dimension in pipeline.spec.partitions.items()
    }
    if len(dimensions) > 1:
        return dg.MultiPartitionsDefinition(dimensions)
    return next(iter(dimensions.values()), None)


def dynamic_name(pipeline: str, dimension: str) -> str:
    """Return the name under which Dagster stores the keys of a dynamic dimension."""
    return f"{pipeline}_{dimension}"


def known_keys(pipeline: Pipeline, instance: dg.DagsterInstance) -> dict[str, Sequence[str]]:
    """Return the keys of dynamic dimensions that Dagster knows."""
    return {
        name: instance.get_dynamic_partitions(dynamic_name(pipeline.name, name))
        for name, dimension in pipeline.spec.partitions.items()
        if isinstance(dimension, DynamicPartitions)
    }


def drop_keys(
    pipeline: Pipeline, gone: Iterable[str], left: Iterable[str], instance: dg.DagsterInstance
) -> None:
    """Let Dagster forget the keys of dynamic dimensions that only some partitions have.

    Args:
        gone: the keys of these partitions.
        left: the keys of the others.
    """
    dimensions = pipeline.spec.partitions

    def keys(partitions: Iterable[str], name: str) -> set[str]:
        found = (partition_of(dimensions, key) for key in partitions)
        return {partition.keys[name] for partition in found if partition}

    others, gone = {*left} - {*gone}, [*gone]
    for name in known_keys(pipeline, instance):
        for key in keys(gone, name) - keys(others, name):
            instance.delete_dynamic_partition(dynamic_name(pipeline.name, name), key)


def _dimension(pipeline: str, name: str, declared: Dimension) -> dg.PartitionsDefinition[str]:
    if isinstance(declared, TimePartitions):
        end = declared.end_time
        return dg.TimeWindowPartitionsDefinition(
            start=declared.start_time,
            # Dagster would include a period that `end` cuts short; the declaration does not.
            end=floor(end, declared.every) if end else None,
            timezone=declared.timezone,
            fmt=FORMATS[declared.every],
            cron_schedule=CRON[declared.every],
            exclusions=[span[0] for key in declared.exclude if (span := declared.period(key))],
        )
    if isinstance(declared, ListedPartitions):
        return dg.StaticPartitionsDefinition(declared.values)
    return dg.DynamicPartitionsDefinition(name=dynamic_name(pipeline, name))
