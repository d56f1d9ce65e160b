"""Ingest and clean many partitions: one after the other, or several at a time by workers.

Which partitions have data belongs in `data.sources.partition_listing`, who works in `workers`.
"""

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from factory_assets.data.sources.partition_listing import Keys, list_partitions
from factory_assets.execution.requests import StageRequest, StageRun
from factory_assets.execution.sharing import catch_up_pipeline
from factory_assets.execution.workers.room import needs_of, room_for
from factory_assets.execution.workers.worker import Worker
from factory_assets.results.latest import PARTITIONED
from factory_assets.results.stages import Stage
from factory_assets.spec import Partition, Pipeline, partition_of
from factory_assets.spec.base import suggest
from factory_assets.spec.partitions import DynamicPartitions, excluding
from factory_resources.errors import DataError, FactoryError
from factory_resources.home.home import Home
from factory_resources.sql.shared_engines import SharedEngines
from factory_resources.tracking.records import Records

if TYPE_CHECKING:
    from factory_assets.execution.workers.worker_process import WorkerProcess


@dataclass(frozen=True)
class Wanted:
    """The partitions that a run covers."""

    partitions: tuple[Partition, ...]
    absent: int
    """How many are left out because they have no data yet."""
    gone: tuple[str, ...]
    """The keys of stored ones whose files are there no more."""
    dynamic: Keys
    """The keys of dynamic dimensions."""
    impossible: tuple[str, ...] = ()
    """What names of files have in place of a key, and no key can be: they are not read."""


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
        gone = _gone(pipeline, listing.partitions, home)
        # A dynamic key that no file has, and Dagster does not know, was not counted.
        counted = [
            one
            for one in gone
            if all(one.keys[name] in keys for name, keys in listing.dynamic.items())
        ]
        absent, names = listing.absent - len(counted), tuple(one.key for one in gone)
        return Wanted(listing.partitions, absent, names, listing.dynamic, listing.impossible)
    requested = requested_in_order(pipeline, keys, now, home)
    dynamic = {
        name: sorted({*known.get(name, ()), *(partition.keys[name] for partition in requested)})
        for name, dimension in pipeline.spec.partitions.items()
        if isinstance(dimension, DynamicPartitions)
    }
    return Wanted(requested, 0, (), dynamic)


def _gone(pipeline: Pipeline, there: Iterable[Partition], home: Home) -> list[Partition]:
    stored = {*Records(home).partitions(pipeline.name, "ingest")} - {one.key for one in there}
    found = (partition_of(pipeline.spec.partitions, key) for key in sorted(stored))
    return [*filter(None, found)]


def by_time(partitions: Iterable[Partition]) -> tuple[Partition, ...]:
    """Return partitions in the order of their periods: each is compared with the one before."""
    return tuple(sorted(partitions, key=lambda one: tuple(one.begins.values())))


def requested_in_order(
    pipeline: Pipeline, keys: Iterable[str], now: datetime, home: Home
) -> tuple[Partition, ...]:
    """Return the partitions with these keys, each once.

    Raises:
        DataError: there is none with a key, it is excluded, or its period is not over.
        SourceError: to suggest another key, the source was asked, and refused.
    """
    return by_time(requested_partition(pipeline, key, now, home) for key in dict.fromkeys(keys))


def requested_partitions(
    pipeline: Pipeline, keys: Sequence[str], now: datetime, home: Home
) -> tuple[tuple[Partition, ...], dict[str, FactoryError]]:
    """Return the partitions with these keys, and by its key why one cannot be computed."""
    found, errors = list[Partition](), dict[str, FactoryError]()
    for key in keys:
        try:
            found.append(requested_partition(pipeline, key, now, home))
        except DataError as error:
            errors[key] = error
    return by_time(found), errors


def requested_partition(pipeline: Pipeline, key: str, now: datetime, home: Home) -> Partition:
    """Return the partition with a key.

    Raises:
        DataError: there is none, it is excluded, or its period is not over.
    """
    if name := excluding(pipeline.spec.partitions, key):
        raise DataError(
            f"partition {key!r} is excluded",
            where=pipeline.name,
            remedy=f"to read it again, take its key out of `partitions.{name}.exclude`",
        )
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


class RunStage(Protocol):
    """Runs one stage with a worker, such as `runner.run_stage`."""

    def __call__(self, call: StageRequest, worker: Worker = ...) -> StageRun: ...


def backfill(
    run: RunStage,
    call: StageRequest,
    partitions: Sequence[Partition],
    stages: Sequence[Stage] = PARTITIONED,
) -> Iterator[PartitionRun]:
    """Run the stages of each partition, and yield the runs in the order of the partitions.

    A partition that fails does not stop the others.

    Args:
        call: the request to repeat; its own stage and partition are ignored.
    """
    catch_up_pipeline(call.pipeline, call.home, whole=True)
    needs = needs_of(call.pipeline, stages)
    room = call.workers if call.cluster else room_for(call.workers, needs)
    count = min(room, len(partitions))
    with call.home.scratch() as scratch:
        if count:
            from factory_assets.execution.workers.started import started_workers

            with started_workers(call, needs, scratch, count) as workers:
                yield from _by_workers(run, call, partitions, stages, workers)
            return
        with SharedEngines(scratch) as engines:
            for number, partition in enumerate(partitions, 1):
                if call.progress:
                    call.progress(f"{partition.key} ({number} of {len(partitions)})")
                yield from _stages(run, replace(call, engines=engines), partition, stages)


def _by_workers(
    run: RunStage,
    call: StageRequest,
    partitions: Sequence[Partition],
    stages: Sequence[Stage],
    workers: Sequence["WorkerProcess"],
) -> Iterator[PartitionRun]:
    from factory_assets.execution.workers.in_order import work_in_order
    from factory_assets.execution.workers.stage_worker import work_in
    from factory_assets.execution.workers.turns import Turns

    # This process computes nothing, which would enable it; there may be many partitions.
    gc.enable()
    turns = Turns(call.pipeline.spec.partitions, partitions)
    call = replace(call, storing=Lock())

    def work(
        worker: "WorkerProcess", numbered: tuple[int, Partition], report: Callable[[str], None]
    ) -> list[PartitionRun]:
        number, partition = numbered
        report(f"{partition.key} ({number} of {len(partitions)})")
        own = replace(call, progress=report, turn=partial(turns.wait, partition, worker))
        runs = []
        try:
            by_worker = partial(run, worker=partial(work_in, worker))
            for one in _stages(by_worker, own, partition, stages):
                turns.end(partition)
                runs.append(one)
        finally:
            turns.end(partition)
        return runs

    report = call.progress or (lambda _: None)
    for runs in work_in_order(workers, [*enumerate(partitions, 1)], work, report):
        yield from runs


def _stages(
    run: Callable[[StageRequest], StageRun],
    call: StageRequest,
    partition: Partition,
    stages: Sequence[Stage],
) -> Iterator[PartitionRun]:
    """Run the stages of one partition, up to one that fails."""
    for stage in stages:
        own = replace(call, stage=stage, partition=partition)
        try:
            outcome = run(own)
        except FactoryError as error:
            yield PartitionRun(own, partition, error=error)
            return
        yield PartitionRun(own, partition, outcome)
