"""The description of the served pipelines, by another reader of OpenAPI and of JSON Schema."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from factory_assets.serving.http import plain
from factory_assets.serving.http.limits import Limits
from factory_assets.serving.http.openapi import _column_schema, example, openapi, row_schema
from factory_assets.serving.http.rows import read_rows
from factory_assets.serving.online.answers import explanations
from factory_assets.serving.online.served_model import ServedModel
from factory_assets.spec import Column
from tests.factory_assets.serving.http.cases import ROW, call_of

pytestmark = pytest.mark.slow


def accepts(served: ServedModel, row: dict[str, Any]) -> bool:
    """Whether the description says that the row can be sent."""
    return bool(Draft202012Validator(row_schema(served)).is_valid(row))


def test_the_example_satisfies_the_description_and_is_answered(served: ServedModel) -> None:
    row = example(served)
    assert accepts(served, row)
    assert not served.score([row]).refusals


@pytest.mark.parametrize(
    ("change", "accepted"),
    [
        ({}, True),
        ({"Heat [K]": None}, True),
        ({"Heat [K]": 1001}, False),
        ({"steps": None}, False),
        ({"steps": 1.5}, False),
        ({"colour": "blue"}, False),
        ({"colour": None}, True),
        ({"open": "yes"}, False),
        ({"code": 5}, False),
    ],
    ids=str,
)
def test_a_row_is_described_as_it_is_checked(
    change: dict[str, Any], accepted: bool, served: ServedModel
) -> None:
    row = {**ROW, **change}
    assert accepts(served, row) is accepted
    if accepted:
        assert not served.score([row]).refusals


@given(data=st.data())
@settings(max_examples=30)
def test_what_the_description_admits_is_answered(served: ServedModel, data: st.DataObject) -> None:
    row = {
        "Heat [K]": data.draw(st.none() | st.floats(-1000, 1000)),
        "steps": data.draw(st.integers(-(2**53) + 1, 2**53 - 1)),
        "colour": data.draw(st.sampled_from(["red", "green", None])),
        "code": data.draw(st.none() | st.text(st.characters(exclude_categories=["Cs"]))),
        "open": data.draw(st.none() | st.booleans()),
    }
    assert accepts(served, row)
    rows, _ = read_rows(json.dumps(row).encode(), served.decoder, Limits())
    assert not served.score(rows.objects()).refusals


@pytest.mark.parametrize("query", [{}, {"explain": "true"}, {"partial": "true"}], ids=str)
@pytest.mark.parametrize("change", [{}, {"steps": "x"}], ids=str)
@pytest.mark.parametrize("several", [False, True])
def test_answers_are_as_described(
    query: dict[str, str], change: dict[str, Any], several: bool, served: ServedModel
) -> None:
    row = {**ROW, **change}
    call = call_of(served, [row, ROW] if several else row, **query)
    rows, is_list = read_rows(call.body, None, Limits())
    scored = served.score(rows.objects())
    moved = explanations(served, scored) if "explain" in query else None
    content = plain.encode(call, rows, scored, bytes(16), several=is_list, moved=moved)
    described = openapi({"p": served})
    schemas = json.loads(json.dumps(described["components"]["schemas"]))
    # Each name is described, so that programs made from the description have it.
    for one in (schemas["p.answer"], schemas["p.answers"]):
        one["additionalProperties"] = False
    schemas["p.answers"]["properties"]["predictions"]["items"]["additionalProperties"] = False
    [operation] = described["paths"]["/predict/p"].values()
    success = operation["responses"]["200"]["content"]["application/json"]["schema"]
    schema = {**success, "components": {"schemas": schemas}}
    answer = json.loads(content)
    Draft202012Validator(schema).validate(answer)
    assert ("predictions" in answer) is several
    assert ("moved_by" in content.decode()) is ("explain" in query and (several or not change))


def test_it_is_openapi(served: ServedModel) -> None:
    from schemathesis.openapi import from_dict

    described = openapi({"p": served})
    loaded = from_dict(copy.deepcopy(described))
    operations = [result.ok() for result in loaded.get_all_operations()]
    assert [(operation.method.upper(), operation.path) for operation in operations] == [
        ("POST", "/predict/p"),
        ("POST", "/feedback"),
    ]
    assert "http" not in json.dumps({k: v for k, v in described.items() if k != "components"})
    for schema in described["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        ({"type": "timestamp"}, "2024-01-31T12:00:00+00:00"),
        ({"type": "timestamp", "range": ["2020-01-01", None]}, "2020-01-01T00:00:00+00:00"),
        ({"type": "date", "range": ["2020-01-01", None]}, "2020-01-01"),
        ({"type": "string", "pattern": r"[0-9]{2}\.[0-9]{2}\.[0-9]{4}"}, "31.12.2024"),
    ],
    ids=str,
)
def test_an_example_has_the_described_form(column: dict[str, Any], shown: str) -> None:
    described = _column_schema(Column.model_validate({"name": "a", **column}))
    assert described["examples"] == [shown]
    assert Draft202012Validator(described, format_checker=FormatChecker()).is_valid(shown)
