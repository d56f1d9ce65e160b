"""Where each alarm begins, and what it says."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from factory_assets.monitoring.alarms import (
    age_alarm,
    drift_alarm,
    performance_alarm,
    silence_alarm,
    volume_alarm,
)
from factory_assets.monitoring.report import (
    Alarm,
    RealMetric,
    RealPerformance,
    ReportedChange,
)
from factory_assets.spec.watch import Watching

PUMPS: Any = SimpleNamespace(name="pumps")
NOW = datetime(2026, 3, 4, 6, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def _told(alarms: Iterable[Alarm]) -> list[str]:
    return [alarm.what for alarm in alarms]


def _change(column: str, what: Any = "values", **size: float) -> ReportedChange:
    found = {"evidence": 3650.0, "effect": 0.1, **size}
    return ReportedChange(column=column, what=what, words="moved", since=1, **found)


def test_a_drift_is_an_alarm_from_the_declared_evidence_and_effect_on() -> None:
    watch = Watching(false_alarm="10y", effect=0.1)
    small = [_change("heat", evidence=3649.9), _change("heat", effect=0.099)]
    assert _told(drift_alarm(PUMPS, watch, small)) == []
    kinds: list[Any] = ["values", "missing", "outputs", "joint"]
    [alarm] = drift_alarm(PUMPS, watch, [*small, *(_change("heat", kind) for kind in kinds)])
    assert alarm.what == (
        "heat: moved, for 10% of the rows; heat: moved, for 10% of the rows; "
        "the output heat: moved, for 10% of the rows; and 1 more"
    )
    assert "factory run pumps; or accept what is new: factory monitor pumps" in alarm.remedy
    assert _told(drift_alarm(PUMPS, watch, [_change("", "joint")])) == [
        "how columns occur together: moved, for 10% of the rows"
    ]


def test_an_alarm_of_performance_says_what_the_test_rows_had() -> None:
    def real(is_worse: bool, **metrics: RealMetric) -> RealPerformance:
        return RealPerformance(labelled=1200, unlabelled=0, is_worse=is_worse, metrics=metrics)

    auc = RealMetric(value=0.7, low=None, high=None, tested=0.9)
    rest = RealMetric(value=0.25, low=None, high=None, tested=None)
    assert _told(performance_alarm(PUMPS, None)) == []
    assert _told(performance_alarm(PUMPS, real(False, roc_auc=auc))) == []
    worse = "worse on 1,200 answers with outcomes than on the test rows"
    assert _told(performance_alarm(PUMPS, real(True))) == [worse]
    assert _told(performance_alarm(PUMPS, real(True, roc_auc=auc, brier=rest))) == [
        f"{worse}: roc_auc 0.700, on test rows 0.900; brier 0.250"
    ]


@pytest.mark.parametrize(
    ("rows", "days", "what"),
    [
        (99, 1.0, ["99 rows a day, fewer than 100"]),
        (100, 1.0, []),
        (2_000, 2.0, []),
        (2_002, 2.0, ["1,001 rows a day, more than 1,000"]),
        # Of less than a day, the looks before count, too: 30 rows in half a day each.
        (10, 0.5, ["40 rows a day, fewer than 100"]),
        (10, 0.25, ["56 rows a day, fewer than 100"]),
    ],
)
def test_too_few_and_too_many_rows_a_day_are_alarms(
    rows: int, days: float, what: list[str]
) -> None:
    watch = Watching.model_validate({"volume": {"at_least": 100, "at_most": 1_000}})
    before: list[Any] = [SimpleNamespace(rows=30, days=0.5)] * 3
    assert _told(volume_alarm(PUMPS, watch, before, rows, days)) == what
    assert _told(volume_alarm(PUMPS, Watching(), before, rows, days)) == []
    assert _told(volume_alarm(PUMPS, watch, [], rows, 0.99)) == []


def test_there_is_no_upper_bound_unless_it_is_declared() -> None:
    watch = Watching.model_validate({"volume": {"at_least": 1}})
    assert _told(volume_alarm(PUMPS, watch, [], 10**9, 1.0)) == []


def test_silence_and_age_are_alarms_after_their_time() -> None:
    watch = Watching(silence="1d", age="90d")
    day, days = timedelta(days=1), timedelta(days=90)
    assert _told(silence_alarm(PUMPS, watch, NOW, day)) == []
    assert _told(silence_alarm(PUMPS, watch, NOW, day + SECOND)) == [
        "no answer since 2026-03-04 06:00 UTC, for longer than 1d"
    ]
    assert _told(age_alarm(PUMPS, watch, NOW, NOW + days)) == []
    assert _told(age_alarm(PUMPS, watch, NOW, NOW + days + SECOND)) == [
        "the champion was exported on 2026-03-04, longer ago than 90d"
    ]
    assert _told(silence_alarm(PUMPS, Watching(), NOW, days)) == []
    assert _told(age_alarm(PUMPS, Watching(), NOW, NOW + 100 * days)) == []
