"""Translate a declaration's partitions into Dagster's, with the same keys.

Which partitions have data belongs in `data.sources.partition_listing`.
"""

from collections.abc import Iterable, Sequence

import dagster as dg

from factory_assets.results.stages import UPSTREAM, Stage
from factory_assets.spec import Pipeline, partition_of
from factory_assets.spec.calendar import CRON, FORMATS, floor
from factory_assets.spec.partitions import (
    Dimension,
    DynamicPartitions,
    ListedPartitions,
    TimePartitions,
)

PARTITIONS_PER_RUN = 100
"""Maximum number of partitions in one run of a backfill.

One process per partition would take longer to start than to run. A run that fails is repeated as a
whole, but reuses what it has recorded.
"""


PARTITIONS = "partitions"
"""Last part of the key of the asset that brings partitions up to date."""


def upstream_of(pipeline: Pipeline, stage: Stage) -> list[dg.AssetDep]:
    """Return what a stage depends on: the stages before it, and the partitions being up to date."""
    before = [dg.AssetDep([pipeline.name, name]) for name in UPSTREAM[stage]]
    if pipeline.spec.partitions and "clean" in UPSTREAM[stage]:
        before.append(dg.AssetDep([pipeline.name, PARTITIONS]))
    return before


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
