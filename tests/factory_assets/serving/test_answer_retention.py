"""Answers are removed when their declared time is over, pipeline by pipeline."""

import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from factory_assets.serving.answer_retention import apply_retention
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
        assert log.find(text(kept))
        assert log.find(text(old)) is None
