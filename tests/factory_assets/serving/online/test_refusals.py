"""What a refused row is told: column, value, rule and remedy."""

from typing import Any

import pytest

from factory_assets.serving.online.refusals import Refusal, explain
from factory_assets.spec import Clean, Column

COLUMNS = (
    Column.model_validate({"name": "heat", "from": "Heat [K]", "type": "float64", "unit": "K"}),
    Column.model_validate({"name": "code", "type": "int64", "sensitive": "personal"}),
)


def told(rule: str, row: dict[str, Any]) -> dict[str, Any]:
    [reason] = explain(Refusal(4, (rule,)), row, COLUMNS, Clean())
    return reason


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("warm", "warm"),
        ("x" * 1_000, "x" * 60),
        (True, True),
        (10**30, 10**30),
        ([[[1] * 1_000]], "an array"),
        ({"a": {"b": 1}}, "an object"),
    ],
    ids=range(6),
)
def test_a_value_is_shown_in_short(value: Any, shown: Any) -> None:
    reason = told("type:heat", {"Heat [K]": value})
    assert reason == {
        "row": 4,
        "column": "Heat [K]",
        "rule": "type:heat",
        "value": shown,
        "remedy": "send a value of type float64",
    }


def test_a_sensitive_value_is_not_shown() -> None:
    assert "value" not in told("type:code", {"code": "Jane"})


@pytest.mark.parametrize(
    ("count", "end"),
    [(3, "send one of: c0, c1, c2"), (20, "c18, c19"), (1_500, "c19 and 1,480 more")],
)
def test_a_remedy_names_some_of_many_allowed_values(count: int, end: str) -> None:
    values = [f"c{number}" for number in range(count)]
    column = Column.model_validate({"name": "colour", "type": "string", "values": values})
    [reason] = explain(Refusal(0, ("values:colour",)), {"colour": "x"}, (column,), Clean())
    assert reason["remedy"].endswith(end)


@pytest.mark.parametrize(
    ("pattern", "remedy"),
    [
        ("M[0-9]{4}", "send a text that matches M[0-9]{4}"),
        (r"[0-9]{1,3}(\.[0-9]{3})+(,[0-9]+)?", "send a text such as 1.234,5, which matches "),
        (r"[0-3]?[0-9]\.[01]?[0-9]\.[0-9]{4}", "send a text such as 31.12.2024, which matches "),
    ],
    ids=["code", "number", "day"],
)
def test_a_remedy_shows_how_a_number_or_a_day_is_written(pattern: str, remedy: str) -> None:
    column = Column.model_validate({"name": "cell", "type": "string", "pattern": pattern})
    [reason] = explain(Refusal(0, ("pattern:cell",)), {"cell": "x"}, (column,), Clean())
    assert reason["remedy"].startswith(remedy)


def test_a_remedy_of_a_derived_column_says_what_it_is_computed_from() -> None:
    clean = Clean.model_validate({"derive": {"rate": "amount / income"}})
    [reason] = explain(Refusal(0, ("overflow:rate",)), {"income": 0}, COLUMNS, clean)
    less = "'rate' is infinite or beyond float32; send values of which it is less: amount / income"
    assert reason["remedy"] == less


def test_what_is_no_image_is_told_how_one_is_sent() -> None:
    column = Column.model_validate({"name": "pixels", "type": "string"})
    row = {"pixels": "data:image/png;base64,iVBO"}
    [reason] = explain(Refusal(0, ("null:pixels",)), row, (column,), Clean(), "pixels")
    assert reason["remedy"].startswith("send the content of a PNG or JPEG file in base64 that can ")


def test_what_counts_as_missing_beside_an_image_is_no_image() -> None:
    column = Column.model_validate({"name": "pixels", "type": "string"})
    row = {"Heat [K]": "n/a"}
    [reason] = explain(Refusal(0, ("null:heat",)), row, (*COLUMNS, column), Clean(), "pixels")
    assert reason["remedy"] == "send a value that can be read; what was sent counts as none"
    assert "value" not in reason


@pytest.mark.parametrize(
    ("rule", "remedy"),
    [
        ("join:prices", "send a key that the joined table 'prices' has"),
        ("derive:rate", "send values of which 'rate' can be computed: amount / income"),
        ("plausible", "every row must satisfy: amount > 0"),
        ("another", "correct the row"),
        ("overflow:prediction", "the prediction is beyond float32; send smaller numbers"),
        ("overflow:price", "'price' is beyond float32; send smaller numbers"),
    ],
)
def test_a_rule_of_a_whole_row_has_a_remedy_and_shows_no_value(rule: str, remedy: str) -> None:
    clean = Clean.model_validate(
        {"derive": {"rate": "amount / income"}, "where": {"plausible": "amount > 0"}}
    )
    [reason] = explain(Refusal(4, (rule,)), {"amount": 0}, COLUMNS, clean)
    assert reason == {"row": 4, "rule": rule, "remedy": remedy}
