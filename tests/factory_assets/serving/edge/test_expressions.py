"""Expressions that went through JSON compute what the factory's own functions compute."""

import json
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_assets.serving.edge.expressions import expression_node, functions_of
from factory_assets.serving.edge.score import UncertainError, compile_node, probe
from factory_resources.errors import ExpressionError
from tests.factory_resources.sql.row_grammar import COLUMNS, ROWS, expressions
from tests.factory_resources.sql.test_row_functions import UNDECIDED, compiled, exact, outcome
from tests.random_examples import examples


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as connection:
        yield connection


def carried(node: dict[str, Any], row: dict[str, Any]) -> Any:
    try:
        return compile_node(json.loads(json.dumps(node)))(row)
    except (UncertainError, ValueError, ArithmeticError):
        return UNDECIDED


@settings(max_examples=examples(300))
@given(sql=expressions(), rows=st.lists(ROWS, min_size=1, max_size=6))
def test_results_are_those_of_the_factory(
    engine: duckdb.DuckDBPyConnection, sql: str, rows: list[dict[str, Any]]
) -> None:
    try:
        node = expression_node(sql, COLUMNS, engine)
    except ExpressionError:
        return
    function = compiled(engine, sql)
    if node is None or function is None:
        return
    assert node["is"][0] == function.kind
    for row in rows:
        found = carried(node, row)
        # What is a constant for the factory may be computed here, and be undecided.
        if found is not UNDECIDED:
            assert exact(found) == exact(outcome(function, row)), sql


@pytest.mark.parametrize(
    ("sql", "cells", "result"),
    [
        ("x * y * 2 * pi() / 60", {"x": 3.0, "y": 7.0}, 2.199114857512855),
        ("x > 0 AND s IN ('a', 'b')", {"x": 1.0, "s": "c"}, False),
        ("CASE WHEN a > 1 THEN 'big' ELSE lower(s) END", {"a": 1, "s": "AB"}, "ab"),
        ("coalesce(x, a) BETWEEN 0 AND 1.5", {"x": None, "a": 2}, False),
        ("a // 2 + i % 3", {"a": -7, "i": 5}, -1),
        ("s LIKE 'a%_'", {"s": "abc"}, True),
        ("round(x) || ''", {"x": 1.0}, None),
    ],
)
def test_common_expressions_are_carried(
    sql: str, cells: dict[str, Any], result: Any, engine: duckdb.DuckDBPyConnection
) -> None:
    node = expression_node(sql, COLUMNS, engine)
    if result is None:
        assert node is None
    else:
        assert node is not None
        assert exact(carried(node, {**dict.fromkeys(COLUMNS), **cells})) == exact(result)


@pytest.mark.parametrize("sql", ["regexp_matches(s, 'a+')", "x::VARCHAR", "lag(x) OVER ()"])
def test_what_only_the_engine_computes_is_not_carried(
    sql: str, engine: duckdb.DuckDBPyConnection
) -> None:
    try:
        assert expression_node(sql, COLUMNS, engine) is None
    except ExpressionError:
        assert "OVER" in sql


def test_functions_of_the_c_library_are_named(engine: duckdb.DuckDBPyConnection) -> None:
    node = expression_node("ln(x) + power(y, 2)", COLUMNS, engine)
    assert node is not None
    assert functions_of(node) == {"ln": probe("ln"), "pow": probe("pow")}
