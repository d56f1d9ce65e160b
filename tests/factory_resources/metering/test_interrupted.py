"""Attempts that did not end count: they leave their cost, and the next one begins with it."""

import time
from pathlib import Path

import pytest

from factory_resources.metering import interrupted
from factory_resources.metering.interrupted import interrupted_attempts
from factory_resources.metering.meter import Cost, Meter, Rates


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupted, "STORE_INTERVAL", 0.01)


def _attempt(file: Path) -> tuple[Cost | None, Cost]:
    """Work until what was spent is written at least once; return what was spent before, and now."""
    written = file.stat().st_mtime_ns if file.is_file() else None
    with Meter(Rates()) as meter, interrupted_attempts(meter, file) as before:
        while not file.is_file() or file.stat().st_mtime_ns == written:
            sum(range(10_000))
        return before, meter.read().after(before)


def test_each_attempt_begins_with_the_sum_of_those_before(tmp_path: Path) -> None:
    file = tmp_path / "pipeline" / "key.cost"
    none, first = _attempt(file)
    before, second = _attempt(file)
    assert none is None
    assert before
    # What the first spent after its last writing is lost, and may be more than the second spends.
    assert 0 < before.cpu_seconds <= min(first.cpu_seconds, second.cpu_seconds)
    assert 0 < before.wh <= min(first.wh, second.wh)
    assert 0 < before.seconds < min(first.seconds, second.seconds)
    assert second.megabytes >= before.megabytes > 0
    assert second.method == first.method


def test_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    file = tmp_path / "key.cost"
    file.write_text('{"seconds": 1')
    before, _ = _attempt(file)
    assert before is None


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_file_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "pipeline").write_text("no folder")
    with Meter(Rates()) as meter, interrupted_attempts(meter, tmp_path / "pipeline" / "key.cost"):
        time.sleep(0.05)
        assert meter.read().seconds > 0


def test_costs_of_two_kinds_name_both() -> None:
    here = Cost(2, 3, 100, 1, 50, "estimate")
    there = Cost(1, 1, 200, 2, 70, "RAPL")
    assert here.after(there) == Cost(3, 4, 200, 3, 50, "RAPL; estimate")
    assert here.after(None) == here
