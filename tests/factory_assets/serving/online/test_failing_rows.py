"""A row on which an expression fails is refused alone: the others of the request are answered."""

from types import SimpleNamespace
from typing import Any

import pytest

from factory_assets.serving.online.refusals import Refusal, explain
from factory_assets.serving.online.warm_engine import WarmEngine
from factory_assets.spec import Clean, Ingest
from factory_resources.errors import ExpressionError
from factory_resources.home.home import Home

CONTRACT: list[dict[str, Any]] = [
    {"name": "steps", "type": "int64"},
    {"name": "day", "type": "string"},
]

LARGE = 10**18


def engine(home: Home, clean: dict[str, Any], inputs: tuple[str, ...]) -> WarmEngine:
    model: Any = SimpleNamespace(
        columns=inputs,
        inputs=dict.fromkeys(inputs, "tensor(float)"),
        booleans=(),
        ingest=Ingest.model_validate({"source": {"files": "rows.csv"}, "contract": CONTRACT}),
        clean=Clean.model_validate(clean),
    )
    return WarmEngine("p", model, home)


def test_each_row_is_told_what_fails_first(home: Home) -> None:
    clean = {
        "where": {"near": "steps * 9 < 1000 OR steps > 100"},
        "derive": {"hundreds": "steps * 100", "month": "month(CAST(day AS DATE)) + hundreds * 0"},
    }
    rows = [
        {"steps": 7, "day": "2026-02-01"},
        {"steps": LARGE, "day": "soon"},
        {"steps": 5, "day": "soon"},
        {"steps": LARGE * 2, "day": None},
        {"steps": 111, "day": None},
        {"steps": LARGE // 10, "day": "2026-03-01"},
        {"steps": "many", "day": "soon"},
    ]
    with engine(home, clean, ("steps", "month")) as opened:
        prepared = opened.prepare(rows)
        assert opened.prepare(rows[:1]).refusals == ()
    assert prepared.table["_row"].to_pylist() == [1, 5]
    assert prepared.table["month"].to_pylist() == [2, None]
    assert prepared.refusals == (
        Refusal(1, ("derive:hundreds",)),
        Refusal(2, ("derive:month",)),
        Refusal(3, ("near",)),
        Refusal(5, ("derive:hundreds",)),
        Refusal(6, ("type:steps",)),
    )
    [reason] = explain(prepared.refusals[0], rows[1], (), Clean.model_validate(clean))
    assert reason["remedy"] == "send values of which 'hundreds' can be computed: steps * 100"


def test_a_column_that_reads_other_rows_fails_for_all(home: Home) -> None:
    clean = {"derive": {"before": "lag(steps * 100) OVER (ORDER BY day)"}}
    with (
        engine(home, clean, ("before",)) as opened,
        pytest.raises(ExpressionError, match=r"p: derive\.before: .*[Oo]verflow"),
    ):
        opened.prepare([{"steps": LARGE, "day": "a"}, {"steps": 1, "day": "b"}])
