"""A period waits for the one before it in its own series, and for nothing else."""

from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from pydantic import TypeAdapter

from factory_assets.execution.backfill import by_time
from factory_assets.execution.workers.turns import Turns
from factory_assets.execution.workers.worker_process import WorkerProcess
from factory_assets.spec import Partition, partition_of
from factory_assets.spec.partitions import Partitions

_DAYS = {"every": "day", "start": "2024-01-01"}


@pytest.fixture
def worker() -> WorkerProcess:
    """A worker that nobody asks for anything, so that it has no process."""
    return WorkerProcess(lambda: pytest.fail("nobody asks"))


def _turns(dimensions: dict[str, Any], *keys: str) -> tuple[Turns, list[Partition]]:
    declared: Any = TypeAdapter(Partitions).validate_python(dimensions)
    partitions = [partition_of(declared, key) for key in keys]
    found = [partition for partition in partitions if partition]
    assert len(found) == len(keys)
    return Turns(declared, found), found


def _waits(wait: Callable[[], None]) -> bool:
    return _is_alive_after(0.2, wait)


def _ends(wait: Callable[[], None]) -> bool:
    """Whether there is nothing to wait for; a busy machine may start a thread late."""
    return not _is_alive_after(60, wait)


def _is_alive_after(seconds: float, wait: Callable[[], None]) -> bool:
    thread = Thread(target=wait, daemon=True)
    thread.start()
    thread.join(seconds)
    return thread.is_alive()


def test_a_period_waits_for_the_one_before(worker: WorkerProcess) -> None:
    turns, (one, two, three) = _turns({"day": _DAYS}, "2024-01-01", "2024-01-03", "2024-01-09")
    assert _ends(lambda: turns.wait(one, worker))
    assert _waits(lambda: turns.wait(two, worker))
    turns.end(one)
    assert _ends(lambda: turns.wait(two, worker))
    assert _waits(lambda: turns.wait(three, worker))


def test_series_do_not_wait_for_each_other(worker: WorkerProcess) -> None:
    sites = {"day": _DAYS, "site": {"values": ["b", "m"]}}
    keys = ("2024-01-01|b", "2024-01-01|m", "2024-01-02|b", "2024-01-02|m")
    turns, (first_b, _, second_b, second_m) = _turns(sites, *keys)
    turns.end(first_b)
    assert _ends(lambda: turns.wait(second_b, worker))
    assert _waits(lambda: turns.wait(second_m, worker))


def test_without_time_nobody_waits(worker: WorkerProcess) -> None:
    turns, (_, m) = _turns({"site": {"values": ["b", "m"]}}, "b", "m")
    assert _ends(lambda: turns.wait(m, worker))


def test_nobody_waits_when_the_run_is_stopped(worker: WorkerProcess) -> None:
    turns, (_, two) = _turns({"day": _DAYS}, "2024-01-01", "2024-01-02")
    worker.stop()
    with pytest.raises(KeyboardInterrupt):
        turns.wait(two, worker)


def test_partitions_are_ordered_by_their_periods() -> None:
    sites = {"day": _DAYS, "site": {"values": ["b", "a"]}}
    _, found = _turns(sites, "2024-01-02|b", "2024-01-01|b", "2024-01-01|a")
    assert [one.key for one in by_time(found)] == ["2024-01-01|b", "2024-01-01|a", "2024-01-02|b"]
    _, listed = _turns({"site": {"values": ["b", "a"]}}, "b", "a")
    assert [one.key for one in by_time(listed)] == ["b", "a"]
