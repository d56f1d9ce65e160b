"""A declaration's partitions as Dagster's, key for key."""

from collections.abc import Sequence

import dagster as dg

from factory_assets.results.stages import UPSTREAM, Stage
from factory_assets.spec import Pipeline
from factory_assets.spec.calendar import CRON, FORMATS, floor
from factory_assets.spec.partitions import (
    Dimension,
    DynamicPartitions,
    ListedPartitions,
    TimePartitions,
)

AT_ONCE = 100
"""Partitions in one run of a backfill: a process for each would take longer to start than to run,
and a run that fails is repeated whole, though from its records."""


PARTITIONS = "partitions"
"""The last part of the key of the asset that brings partitions up to date."""


def upstream_of(pipeline: Pipeline, stage: Stage) -> list[dg.AssetDep]:
    """What a stage comes after: the stages before it, and partitions being up to date."""
    before = [dg.AssetDep([pipeline.name, name]) for name in UPSTREAM[stage]]
    if pipeline.spec.partitions and "clean" in UPSTREAM[stage]:
        before.append(dg.AssetDep([pipeline.name, PARTITIONS]))
    return before


def partitions_def(pipeline: Pipeline) -> dg.PartitionsDefinition[str] | None:
    """How Dagster cuts `ingest` and `clean`; None for a pipeline without partitions."""
    dimensions = {
        name: _dimension(pipeline.name, name, dimension)
        for name, dimension in pipeline.spec.partitions.items()
    }
    if len(dimensions) > 1:
        return dg.MultiPartitionsDefinition(dimensions)
    return next(iter(dimensions.values()), None)


def dynamic_name(pipeline: str, dimension: str) -> str:
    """Under which Dagster keeps the keys of a dynamic dimension."""
    return f"{pipeline}_{dimension}"


def known_keys(pipeline: Pipeline, instance: dg.DagsterInstance) -> dict[str, Sequence[str]]:
    """The keys of dynamic dimensions that Dagster has been told of."""
    return {
        name: instance.get_dynamic_partitions(dynamic_name(pipeline.name, name))
        for name, dimension in pipeline.spec.partitions.items()
        if isinstance(dimension, DynamicPartitions)
    }


def _dimension(pipeline: str, name: str, declared: Dimension) -> dg.PartitionsDefinition[str]:
    if isinstance(declared, TimePartitions):
        end = declared.end_time
        return dg.TimeWindowPartitionsDefinition(
            start=declared.start_time,
            # A period that is not whole by then is none; Dagster would take it.
            end=floor(end, declared.every) if end else None,
            timezone=declared.timezone,
            fmt=FORMATS[declared.every],
            cron_schedule=CRON[declared.every],
        )
    if isinstance(declared, ListedPartitions):
        return dg.StaticPartitionsDefinition(declared.values)
    return dg.DynamicPartitionsDefinition(name=dynamic_name(pipeline, name))
