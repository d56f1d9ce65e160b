"""Refresh: every partition that needs it is ingested and cleaned, and what each came to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from factory_assets.data.sources.partition_listing import Keys, list_partitions
from factory_assets.execution.requests import StageRequest, StageRun
from factory_assets.execution.runner import run_stage
from factory_assets.results.latest import PARTITIONED
from factory_assets.results.stages import Stage
from factory_assets.spec import Partition, Pipeline, partition_of
from factory_assets.spec.base import suggest
from factory_assets.spec.partitions import DynamicPartitions
from factory_resources.errors import DataError, FactoryError
from factory_resources.home.home import Home


@dataclass(frozen=True)
class Wanted:
    """The partitions that a run is about."""

    partitions: tuple[Partition, ...]
    absent: int
    """How many are left out because they have no data yet."""
    dynamic: Keys
    """The keys of dynamic dimensions."""


def wanted(
    pipeline: Pipeline, now: datetime, known: Keys, home: Home, keys: Sequence[str] = ()
) -> Wanted:
    """The partitions that have data, or those that are asked for by key.

    Args:
        known: keys of dynamic dimensions, beside those that the files' names tell.

    Raises:
        DataError: a key that no partition has, or that of a period that is not over.
        SourceError: a variable that is not set, or a storage of objects that says no.
    """
    if not keys:
        there = list_partitions(pipeline, now, known, home)
        return Wanted(there.partitions, there.absent, there.dynamic)
    asked = tuple(_partition(pipeline, key, now, home) for key in dict.fromkeys(keys))
    dynamic = {
        name: sorted({*known.get(name, ()), *(partition.keys[name] for partition in asked)})
        for name, dimension in pipeline.spec.partitions.items()
        if isinstance(dimension, DynamicPartitions)
    }
    return Wanted(asked, 0, dynamic)


def _partition(pipeline: Pipeline, key: str, now: datetime, home: Home) -> Partition:
    partition = partition_of(pipeline.spec.partitions, key)
    if partition is None:
        there = list_partitions(pipeline, now, {}, home).partitions
        raise DataError(
            f"there is no partition {key!r}",
            where=pipeline.name,
            remedy=suggest(key, [other.key for other in reversed(there)]),
        )
    if any(end > now for end in partition.ends.values()):
        ends = max(partition.ends.values())
        raise DataError(
            f"partition {key!r} is not over",
            where=pipeline.name,
            remedy=f"it ends at {ends.isoformat(sep=' ', timespec='minutes')}",
        )
    return partition


@dataclass(frozen=True)
class PartitionRun:
    """What became of one stage of one partition: an outcome, or the error that kept it from one."""

    call: StageRequest
    partition: Partition
    outcome: StageRun | None = None
    error: FactoryError | None = None


def backfill(
    call: StageRequest, partitions: Sequence[Partition], stages: Sequence[Stage] = PARTITIONED
) -> Iterator[PartitionRun]:
    """Run the stages partition by partition; one that fails does not keep the others from running.

    Args:
        call: what to do in each partition; its own stage and partition say nothing.
    """
    for number, partition in enumerate(partitions, 1):
        if call.progress:
            call.progress(f"{partition.key} ({number} of {len(partitions)})")
        for stage in stages:
            own = replace(call, stage=stage, partition=partition)
            try:
                outcome = run_stage(own)
            except FactoryError as error:
                yield PartitionRun(own, partition, error=error)
                break
            yield PartitionRun(own, partition, outcome)
