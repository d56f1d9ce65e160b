"""Ingest and clean many partitions, one after the other.

Which partitions have data belongs in `data.sources.partition_listing`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from factory_assets.data.sources.partition_listing import Keys, list_partitions
from factory_assets.execution.requests import StageRequest, StageRun
from factory_assets.results.latest import PARTITIONED
from factory_assets.results.stages import Stage
from factory_assets.spec import Partition, Pipeline, partition_of
from factory_assets.spec.base import suggest
from factory_assets.spec.partitions import DynamicPartitions
from factory_resources.errors import DataError, FactoryError
from factory_resources.home.home import Home
from factory_resources.sql.shared_engines import SharedEngines


@dataclass(frozen=True)
class Wanted:
    """The partitions that a run covers."""

    partitions: tuple[Partition, ...]
    absent: int
    """How many are left out because they have no data yet."""
    dynamic: Keys
    """The keys of dynamic dimensions."""


def wanted(
    pipeline: Pipeline, now: datetime, known: Keys, home: Home, keys: Sequence[str] = ()
) -> Wanted:
    """Return the partitions that have data, or those with the requested keys.

    Args:
        known: keys of dynamic dimensions, in addition to those found in file names.
        keys: the requested ones; empty for all.

    Raises:
        DataError: no partition has the key, or its period is not over.
        SourceError: a variable is not set, or object storage refuses.
    """
    if not keys:
        listing = list_partitions(pipeline, now, known, home)
        return Wanted(listing.partitions, listing.absent, listing.dynamic)
    requested = tuple(_partition(pipeline, key, now, home) for key in dict.fromkeys(keys))
    dynamic = {
        name: sorted({*known.get(name, ()), *(partition.keys[name] for partition in requested)})
        for name, dimension in pipeline.spec.partitions.items()
        if isinstance(dimension, DynamicPartitions)
    }
    return Wanted(requested, 0, dynamic)


def _partition(pipeline: Pipeline, key: str, now: datetime, home: Home) -> Partition:
    partition = partition_of(pipeline.spec.partitions, key)
    if partition is None:
        existing = list_partitions(pipeline, now, {}, home).partitions
        raise DataError(
            f"there is no partition {key!r}",
            where=pipeline.name,
            remedy=suggest(key, [other.key for other in reversed(existing)]),
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
    """One stage of one partition: its outcome, or the error that stopped it."""

    call: StageRequest
    partition: Partition
    outcome: StageRun | None = None
    error: FactoryError | None = None


def backfill(
    run: Callable[[StageRequest], StageRun],
    call: StageRequest,
    partitions: Sequence[Partition],
    stages: Sequence[Stage] = PARTITIONED,
) -> Iterator[PartitionRun]:
    """Run the stages partition by partition; a partition that fails does not stop the others.

    Args:
        run: runs one stage, such as `runner.run_stage`.
        call: the request to repeat; its own stage and partition are ignored.
    """
    with call.home.scratch() as scratch, SharedEngines(scratch) as engines:
        for number, partition in enumerate(partitions, 1):
            if call.progress:
                call.progress(f"{partition.key} ({number} of {len(partitions)})")
            for stage in stages:
                own = replace(call, stage=stage, partition=partition, engines=engines)
                try:
                    outcome = run(own)
                except FactoryError as error:
                    yield PartitionRun(own, partition, error=error)
                    break
                yield PartitionRun(own, partition, outcome)
