"""The tables that the benchmark draws, and what it measures on them."""

import pytest

from benchmarks import trends
from factory_assets.spec.linear import Linear


def test_a_trend_goes_on_in_later_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trends, "members_of", lambda _: [Linear(kind="linear")])
    table = trends.DRAWN["trend"](0)
    without, with_days = (trends.error(table, trend=trend) for trend in ([], ["date"]))
    assert without > 5
    assert with_days < 1.2


def test_drawn_tables_differ_by_their_seed() -> None:
    one, same, other = (trends.DRAWN["change"](seed) for seed in (0, 0, 1))
    assert one.equals(same)
    assert not one.equals(other)
