"""Answers are removed when their declared time is over, pipeline by pipeline."""

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from factory_assets.serving.answer_retention import apply_retention
from factory_assets.serving.declared_log import kept_days
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.prediction_log.ids import PredictionIds, text
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.tracking.registry import Registry
from tests.factory_resources.prediction_log.samples import write
from tests.pipelines import APPLES, declare

DAY = datetime(2025, 1, 31, tzinfo=UTC)


def test_answers_of_a_pipeline_go_though_another_one_keeps_them_for_ever(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    for name, keep in (("apples", "9999y"), ("pears", "6m")):
        declare(tmp_path / "defs" / name, {**APPLES, "deploy": {"log": {"keep": keep}}})
    monkeypatch.setattr(Registry, "versions", lambda _: {"apples": [1], "pears": [1]})
    Ledger(home).begin()
    with PredictionLog(home) as log:
        journal, ids = log.journal(), PredictionIds()
        with monkeypatch.context() as clock:
            clock.setattr(time, "time_ns", lambda: int(DAY.timestamp()) * 1_000_000_000)
            [kept], [old] = (
                write(journal, [1], ids, pipeline=name) for name in ("apples", "pears")
            )
        journal.close()
        log.collect()
        assert apply_retention(log, home, date(2026, 1, 31)) == 1
        found = log.find(text(kept))
        assert found
        assert found.place == "archive"
        assert log.find(text(old)) is None


@pytest.mark.parametrize("keep", ["180d", "6m", "26w", "1y"])
def test_the_shortest_time_that_may_be_declared_is_kept(
    keep: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    declare(tmp_path / "defs" / "apples", {**APPLES, "deploy": {"log": {"keep": keep}}})
    monkeypatch.setattr(Registry, "versions", lambda _: {"apples": [1]})
    Ledger(home).begin()
    now = datetime.now(UTC)
    with PredictionLog(home) as log:
        journal, ids = log.journal(), PredictionIds()
        kept = dict[int, bytes]()
        with monkeypatch.context() as clock:
            for days in (400, 150, 31, 30):
                then = int((now - timedelta(days=days)).timestamp())
                clock.setattr(time, "time_ns", lambda then=then: then * 1_000_000_000)
                [kept[days]] = write(journal, [1], ids, pipeline="apples")
        journal.close()
        log.collect()
        assert apply_retention(log, home, now.date()) == 1
        assert log.find(text(kept[400])) is None
        found = {days: log.find(text(kept[days])) for days in (150, 31, 30)}
        places = {days: one.place for days, one in found.items() if one}
        assert places == {150: "archive", 31: "archive", 30: "database"}


@pytest.mark.parametrize(
    ("declared", "days"),
    [
        (None, 3_650),
        ({}, 730),
        ({"risk": {"tier": "limited"}}, 730),
        ({"risk": {"tier": "high", "area": "food"}, "deploy": {"approval": {}}}, 3_650),
        ({"deploy": {"log": {"keep": "1y"}}}, 365),
    ],
)
def test_answers_are_kept_as_declared_and_long_if_nothing_is(
    declared: dict[str, Any] | None, days: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    declare(tmp_path / "defs" / "pears", APPLES)
    if declared is not None:
        declare(tmp_path / "defs" / "apples", {**APPLES, **declared})
    assert kept_days("apples") == days
