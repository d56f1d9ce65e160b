"""The rules that a row broke are told one by one, whatever the columns are called."""

from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from factory_assets.cli.predict import _without_score
from factory_assets.serving.broken_rules import rules_in
from factory_assets.serving.online.warm_engine import WarmEngine
from factory_assets.spec import Clean, Ingest
from factory_resources.home.home import Home

CONTRACT: list[dict[str, Any]] = [
    {"name": "Income, USD", "type": "float64", "range": [0, None]},
    {"name": "age", "type": "int64"},
]


@pytest.mark.parametrize(
    "rules",
    [
        ("type:age",),
        ("range:Income, USD", "null:age", "values:kind, of"),
        ("overflow:a,b", "overflow:c"),
        ("unique:site,machine", "join:machines"),
        ("positive", "known"),
    ],
)
def test_a_rule_may_name_a_column_with_a_comma(rules: tuple[str, ...]) -> None:
    assert rules_in(",".join(rules)) == rules


def test_a_request_is_told_the_rules_of_a_column_with_a_comma(home: Home) -> None:
    names = [column["name"] for column in CONTRACT]
    model: Any = SimpleNamespace(
        columns=names,
        inputs=dict.fromkeys(names, "tensor(float)"),
        booleans=(),
        ingest=Ingest.model_validate({"source": {"files": "x.csv"}, "contract": CONTRACT}),
        clean=Clean(),
    )
    rows: list[dict[str, Any]] = [
        {"Income, USD": -1, "age": "old"},
        {"Income, USD": 1e39, "age": 1},
    ]
    with WarmEngine("p", model, home) as engine:
        told = [one.rules for one in engine.prepare(rows).refusals]
    assert told == [("range:Income, USD", "type:age"), ("overflow:Income, USD",)]


def test_rows_of_a_file_are_counted_by_the_rules_of_a_column_with_a_comma() -> None:
    reasons = ["range:Income, USD,type:age", "range:Income, USD", None]
    counted = "3 rows: 1 scored, 2 not (2 range:Income, USD, 1 type:age)\n"
    assert _without_score(pa.table({"reason": reasons})) == counted
