"""Functions of whole columns give bit for bit what the functions of single rows give."""

import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_resources.sql.row_functions import compile_expression
from factory_resources.sql.scalar.binding import Kind
from factory_resources.sql.scalar.values import UndecidedError
from tests.random_examples import examples

COLUMNS: dict[str, Kind] = {"a": "BIGINT", "x": "DOUBLE", "y": "DOUBLE", "t": "BOOLEAN"}

NUMBERS = st.sampled_from(
    ["x", "y", "a", "2", "0.5", "(-1)", "60", "1e300", "pi()", "NULL::DOUBLE"]
)

ARITHMETIC = st.recursive(
    NUMBERS,
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(
        lambda parts: f"({parts[0]}::DOUBLE {parts[1]} {parts[2]})"
    ),
    max_leaves=6,
)

COMPARISONS = st.tuples(
    ARITHMETIC, st.sampled_from(["<", "<=", "=", "<>", ">", ">="]), ARITHMETIC
).map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})")

CONDITIONS = st.recursive(
    COMPARISONS | st.sampled_from(["t", "true", "NULL::BOOLEAN"]),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(
            lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
        )
        | inner.map(lambda part: f"(NOT {part})")
    ),
    max_leaves=5,
)

DOUBLES = st.sampled_from([0.0, -0.0, 1.0, -2.5, 1e300, 5e-324]) | st.floats(-1e3, 1e3)

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "a": st.none() | st.integers(1 - 2**53, 2**53 - 1),
            "x": st.none() | DOUBLES,
            "y": st.none() | DOUBLES,
            "t": st.none() | st.booleans(),
        }
    ),
    min_size=1,
    max_size=8,
)


def as_columns(rows: list[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    return {
        name: np.array([math.nan if row[name] is None else row[name] for row in rows], np.float64)
        for name in COLUMNS
    }


def bits(value: Any) -> Any:
    return None if value is None or value != value else struct.pack("<d", float(value))


@settings(max_examples=examples(500))
@given(sql=ARITHMETIC | CONDITIONS, rows=ROWS)
def test_a_column_has_what_each_row_has(sql: str, rows: list[Mapping[str, Any]]) -> None:
    function = compile_expression(sql, COLUMNS)
    if function is None or function.compute_columns is None:
        return
    try:
        found = np.broadcast_to(function.compute_columns(as_columns(rows)), (len(rows),))
    except UndecidedError:
        return
    for row, value in zip(rows, found.tolist(), strict=True):
        assert bits(value) == bits(function.compute(row)), (sql, row)


@pytest.mark.parametrize(
    "sql",
    [
        "x * y * 2 * pi() / 60",
        "x - y",
        "a * x",
        "x > 0",
        "x > y AND a >= 1 OR NOT t",
        "x / a",
    ],
)
def test_what_people_declare_is_computed_over_columns(sql: str) -> None:
    function = compile_expression(sql, COLUMNS)
    assert function is not None
    assert function.compute_columns is not None
    rows = [{"a": 3, "x": 1.5, "y": 2.5, "t": True}, {"a": 1, "x": None, "y": -1.0, "t": None}]
    found = function.compute_columns(as_columns(rows)).tolist()
    assert [bits(value) for value in found] == [bits(function.compute(row)) for row in rows]


@pytest.mark.parametrize("sql", ["a + 1", "x % 2", "coalesce(x, 0)", "ln(x)", "x::VARCHAR"])
def test_what_is_not_certain_over_columns_is_computed_row_by_row(sql: str) -> None:
    function = compile_expression(sql, COLUMNS)
    assert function is None or function.compute_columns is None


@pytest.mark.parametrize("sql", ["x / y", "y / y", "x * 1e300 * 1e300"])
def test_a_row_with_special_rules_leaves_all_to_the_engine(sql: str) -> None:
    function = compile_expression(sql, COLUMNS)
    assert function is not None
    assert function.compute_columns is not None
    rows = [{"a": 1, "x": 1.0, "y": 0.0, "t": None}]
    with pytest.raises(UndecidedError):
        function.compute_columns(as_columns(rows))
