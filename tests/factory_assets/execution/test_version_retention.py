"""Versions that nothing needs: old ones that do not serve and whose answers are gone."""

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from factory_assets.execution.version_retention import unneeded_versions
from factory_resources.home.home import Home
from factory_resources.ledger.entries import ModelTrained
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.rollout_entries import RolloutEnded, RolloutStarted
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.record import encode
from factory_resources.tracking.registry import Registry
from tests.factory_resources.prediction_log.samples import record
from tests.factory_resources.prediction_log.test_archive import Clock
from tests.factory_resources.tracking.test_registry import register
from tests.ledger import make_champion

UNKNOWN, ROLLING, BEFORE, CHAMPION, NEWEST = 4, 5, 6, 7, 8


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def trained(version: int) -> ModelTrained:
    """Return the entry of a version of the model `m`."""
    return ModelTrained(
        subject=f"model/m@{version}", pipeline="m", version=version, record="none", digest="0" * 64
    )


def _rollout() -> RolloutStarted:
    return RolloutStarted(
        subject="rollout/m",
        pipeline="m",
        version=ROLLING,
        record="none",
        graph="0" * 64,
        champion=BEFORE,
        mode="canary",
        share=1_000,
        seconds=60,
        answers=100,
    )


def _answer(log: PredictionLog, clock: Clock, day: date, version: int) -> None:
    clock.set(day, 12)
    journal = log.journal()
    journal.append(clock.ids.take(), encode(replace(record(pipeline="m"), version=version)))
    journal.flush()
    journal.close()


@pytest.mark.slow
@pytest.mark.usefixtures("prepared_engine")
def test_old_versions_go_unless_something_needs_them(
    home: Home, tmp_path: Path, clock: Clock
) -> None:
    registry = Registry(home)
    assert unneeded_versions(home, {"m": (1, 2)}, 1, time.time()) == {}
    for version in range(1, NEWEST + 1):
        assert register(registry, tmp_path / str(version)) == version
    models, later = registry.versions(), time.time() + 60
    Ledger(home).begin()
    Ledger(home).append([trained(v) for v in models["m"] if v != UNKNOWN])
    for version in (1, 3, BEFORE, 1, BEFORE, CHAMPION):
        make_champion("m", version, home)
    Ledger(home).append([_rollout()])

    def unneeded(newest: int = 1, since: float = later) -> dict[str, tuple[int, ...]]:
        return unneeded_versions(home, {"other": (1,), **models}, newest, since)

    with PredictionLog(home) as log:
        today = datetime.now(UTC).date()
        old = today - timedelta(days=300)
        for day, version in ((old, 1), (old, 2), (today, 2)):
            _answer(log, clock, day, version)
        # They are in the journal first, and in the database then.
        for _ in range(2):
            assert unneeded() == {"m": (3,)}
            log.collect()
        assert log.remove("m", old + timedelta(days=1), "test") == 2
    assert unneeded() == {"m": (1, 3)}
    assert unneeded(newest=NEWEST - 1) == {"m": (1,)}
    assert unneeded(newest=NEWEST) == unneeded(newest=NEWEST + 1) == {}
    assert unneeded(since=later - 3_600) == {}
    ended = RolloutEnded(
        subject="rollout_ended/m",
        pipeline="m",
        version=ROLLING,
        record="none",
        started=0,
        outcome="rolled back",
    )
    Ledger(home).append([ended])
    assert unneeded() == {"m": (1, 3, ROLLING)}
    registry.delete_version("m", 3)
    assert registry.versions() == {"m": (1, 2, *range(4, NEWEST + 1))}
