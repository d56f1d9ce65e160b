"""Row functions: whatever they compute, the engine computes too, bit for bit."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_resources.sql.bound_expressions import Kind, NotCertainError, bind
from factory_resources.sql.row_functions import RowFunction, compile_bound, compile_expression
from factory_resources.sql.row_values import UndecidedError

COLUMNS: dict[str, Kind] = {
    "a": "BIGINT", "b": "BIGINT", "i": "INTEGER", "x": "DOUBLE", "y": "DOUBLE",
    "s": "VARCHAR", "u": "VARCHAR", "t": "BOOLEAN", "f": "BOOLEAN",
}  # fmt: skip

UNDECIDED = object()

LEAVES = {
    "B": ["a", "b", "99999999999", "9223372036854775807", "(-9223372036854775808)", "NULL::BIGINT"],
    "I": ["i", "0", "1", "2", "(-1)", "7", "2147483647", "(-2147483648)", "NULL"],
    "D": ["x", "y", "x", "y", "1e0", "(-0e0)", "0e0", "5e-324", "1.7e308", "0.1e0", "pi()",
          "NULL::DOUBLE"],
    "N": ["0.5", "0.1", "2.50", "(-1.25)", "(-0.0)", "1234567.891", "100.0", "0.000001"],
    "S": ["s", "u", "s", "u", "''", "'a'", "'B'", "' a '", "'é'", "'12'", "'O''Neill'",
          "NULL::VARCHAR"],
    "T": ["t", "f", "true", "false", "NULL::BOOLEAN"],
}  # fmt: skip
"""Expressions without parts, by type: BIGINT, INTEGER, DOUBLE, DECIMAL, VARCHAR, BOOLEAN (truth)."""

FORMS = {
    "B": [
        "({B} + {B})", "({B} - {I})", "({I} * {B})", "(-{B})", "({B} // {B})", "({B} % {I})",
        "abs({B})", "@{B}", "{D}::BIGINT", "{T}::BIGINT", "CAST({I} AS BIGINT)", "length({S})",
        "coalesce({B}, {I})", "CASE WHEN {T} THEN {B} ELSE {I} END", "nullif({B}, {D})",
        "greatest({B}, {I}, {B})", "least({B}, {B})", "instr({S}, {S})", "strlen({S})",
        "TRY_CAST({S} AS BIGINT)", "CAST({S} AS BIGINT)", "mod({B}, {B})", "(+{B})",
        "if({T}, {B}, {B})", "add({B}, {I})", "divide({B}, {I})", "ifnull({B}, {B})",
    ],
    "I": [
        "({I} + {I})", "({I} - {I})", "({I} * {I})", "(-{I})", "({I} // {I})", "({I} % {I})",
        "abs({I})", "{B}::INTEGER", "{D}::INTEGER", "CASE {S} WHEN 'a' THEN {I} WHEN {S} THEN {I} END",
        "coalesce({I}, {I}, {I})", "least({I}, {I})", "TRY_CAST({S} AS INTEGER)", "{T}::INTEGER",
    ],
    "D": [
        "({D} + {D})", "({D} - {D})", "({D} * {D})", "({D} / {D})", "({B} / {I})", "({D} * {N})",
        "({D} + {I})", "({B} * {D})", "({D} - {N})", "({I} / {N})", "(-{D})", "({D} % {D})",
        "({D} ^ 2)", "({D} ** {D})", "pow({D}, {N})", "power({I}, {I})", "sqrt({D})",
        "sqrt(abs({D}))", "ln({D})", "log({D})", "log10({D})", "log2({D})", "exp({D})", "cbrt({D})",
        "ln(abs({D}) + 1)", "sin({D})", "cos({D})", "tan({D})", "asin({D})", "acos({D})",
        "atan({D})", "atan2({D}, {D})", "sinh({D})", "cosh({D})", "tanh({D})", "radians({D})",
        "degrees({D})", "floor({D})", "ceil({D})", "ceiling({D})", "round({D})", "trunc({D})",
        "abs({D})", "{B}::DOUBLE", "{N}::DOUBLE", "CAST({I} AS DOUBLE)", "{T}::DOUBLE",
        "TRY_CAST({S} AS DOUBLE)", "{S}::DOUBLE", "coalesce({D}, {B}, {N})",
        "CASE WHEN {T} THEN {D} WHEN {T} THEN {N} END", "nullif({D}, {I})",
        "greatest({D}, {B})", "least({D}, {D}, {N})", "CASE {I} WHEN 1 THEN {D} ELSE {D} END",
        "({D} + ({B} + {N}))", "floor({B})", "multiply({D}, {D})", "fdiv({D}, {D})",
    ],
    "N": [
        "({B} * {N})", "({I} + {N})", "({N} - {N})", "({N} * {N})", "(-{N})", "{B}::DECIMAL(20,1)",
        "coalesce({I}, {N})", "CASE WHEN {T} THEN {N} ELSE {I} END", "least({N}, {I})",
        "{N}::DECIMAL(30,8)",
    ],
    "S": [
        "({S} || {S})", "({S} || {B})", "concat({S}, {S}, {T})", "concat({I}, ' ', {S})",
        "lower({S})", "upper({S})", "lcase({S})", "ucase({S})", "trim({S})", "ltrim({S})",
        "rtrim({S})", "coalesce({S}, {S})", "CASE WHEN {T} THEN {S} ELSE {S} END",
        "CASE WHEN {T} THEN {S} END", "nullif({S}, {S})", "greatest({S}, {S})", "least({S}, {S})",
        "{B}::VARCHAR", "{T}::VARCHAR", "{I}::VARCHAR", "replace({S}, {S}, {S})",
        "substring({S}, 1, 2)", "substr({S}, {I}, {I})", "left({S}, 2)", "right({S}, {I})",
    ],
    "T": [
        "({B} < {B})", "({B} <= {I})", "({B} = {D})", "({I} <> {I})", "({D} > {D})", "({D} >= {N})",
        "({I} > {N})", "({B} = {N})", "({N} < {N})", "({D} = {I})", "({D} != {D})", "({S} = {S})",
        "({S} < {S})", "({S} >= {S})", "({T} = {T})", "({T} < {T})", "({S} > 'M')",
        "({D} IS DISTINCT FROM {B})", "({S} IS NOT DISTINCT FROM {S})", "({T} IS TRUE)",
        "({T} IS NOT FALSE)", "({T} IS UNKNOWN)", "({D} BETWEEN {I} AND {D})",
        "({B} NOT BETWEEN {I} AND {N})", "({S} BETWEEN 'a' AND {S})",
        "(({D} + {D}) BETWEEN {D} AND {D})", "({B} IN (1, 2, {I}))", "({D} IN (1, 2.5, NULL))",
        "({D} NOT IN ({D}, {N}, {B}))", "({S} IN ('a', 'b', {S}))", "({S} NOT IN ('a', 'é', ''))",
        "({I} IN (1, 2, 3, 4, 5, 6, 7))", "({S} IN ('a', NULL))", "({D} IS NULL)",
        "({S} IS NOT NULL)", "({B} IS NULL)", "(NOT {T})", "({T} AND {T})", "({T} OR {T})",
        "({T} AND {T} AND {T})", "({T} OR {T} OR {T})", "CASE WHEN {T} THEN {T} ELSE {T} END",
        "coalesce({T}, {T})", "contains({S}, {S})", "starts_with({S}, {S})", "prefix({S}, 'a')",
        "({S} ^@ {S})", "ends_with({S}, {S})", "suffix({S}, 'a')", "({S} LIKE 'a%')",
        "({S} LIKE '%a')", "({S} LIKE '%a%')", "({S} NOT LIKE 'a%b')", "({S} LIKE 'a%b%c')",
        "({S} LIKE '_a%')", "({S} LIKE '%a_')", "({S} LIKE '')", "({S} LIKE '%')",
        "({S} LIKE 'aB')", "({S} LIKE '%é%')", "({S} ILIKE 'A%b')", "({S} NOT ILIKE '%a_')",
        "({S} LIKE '%a%a%')", "({S} LIKE 'a%a')", "({S} LIKE '%%a')", "isnan({D})", "isfinite({D})",
        "{I}::BOOLEAN", "{D}::BOOLEAN", "if({T}, {T}, {T})", "({T} IS NOT DISTINCT FROM {T})",
        "({I} = '1')", "({N} IN ({N}, 1))", "({B} % 2 = 0)", "({B} + 1 > {I})", "({I} - 1 = {I})",
    ],
}  # fmt: skip
"""Expressions with parts, of the types in braces."""


@st.composite
def expressions(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(sorted(FORMS)))
    return draw_expression(draw, kind, draw(st.integers(1, 4)))


def draw_expression(draw: st.DrawFn, kind: str, depth: int) -> str:
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(LEAVES[kind]))
    form = draw(st.sampled_from(FORMS[kind]))
    return re.sub(r"\{(\w)\}", lambda hole: draw_expression(draw, hole[1], depth - 1), form)


def whole_numbers(bits: int) -> st.SearchStrategy[int]:
    most = 2**bits
    near = [0, 1, -1, 2, 3, -7, 2**53, 2**53 + 1, -(2**53) - 1, most - 1, -most, 1 - most]
    return st.sampled_from([n for n in near if -most <= n < most]) | st.integers(-most, most - 1)


DOUBLES = (
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, 1.5, 5e-324, -5e-324, 1.7e308, 2.0**53])
    | st.floats(-1000, 1000)
    | st.floats()
)
TEXTS = st.sampled_from(
    ["", "a", "A", "b", "aB", "abc", " a ", "é", "e\u0301", "ß", "İ", "12", "-1.5", "1e5", "V57"]
    + ["E95", "inf", "nan", "\t1", "1 ", "0x1", "🙂a", "a\0b", "true", "x" * 30, "a_b", "a%b", "aa"]
) | st.text("abAB 01.%_é", max_size=8)

ROWS = st.fixed_dictionaries(
    {
        "a": st.none() | whole_numbers(63), "b": st.none() | whole_numbers(63),
        "i": st.none() | whole_numbers(31), "x": st.none() | DOUBLES, "y": st.none() | DOUBLES,
        "s": st.none() | TEXTS, "u": st.none() | TEXTS,
        "t": st.none() | st.booleans(), "f": st.none() | st.booleans(),
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as connection:
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        connection.execute(f"CREATE TABLE rows (n INTEGER, {columns})")
        yield connection


def compiled(engine: duckdb.DuckDBPyConnection, sql: str) -> RowFunction | None:
    """Like `compile_expression`, in an engine that is open already."""
    try:
        bound = bind(sql, COLUMNS, engine)
        return None if bound is None else compile_bound(bound)
    except NotCertainError:
        return None


def outcome(function: RowFunction, row: Mapping[str, Any]) -> Any:
    try:
        return function.compute(row)
    except UndecidedError:
        return UNDECIDED


def exact(value: Any) -> tuple[str, str]:
    """Tell -0.0 from 0.0, 1 from 1.0, and True from 1."""
    return type(value).__name__, value.hex() if isinstance(value, float) else repr(value)


def require_agreement(
    engine: duckdb.DuckDBPyConnection, sql: str, rows: list[dict[str, Any]]
) -> list[Any]:
    """Compare the function of `sql` with the engine on every row that it decides."""
    function = compiled(engine, sql)
    if function is None:
        return [UNDECIDED] * len(rows)
    found = [outcome(function, row) for row in rows]
    # The engine must not fail on a row that is decided; on the others it may.
    decided = [n for n, value in enumerate(found) if value is not UNDECIDED]
    if decided:
        load(engine, {n: rows[n] for n in decided})
        query = f"SELECT typeof({sql}), ({sql}) FROM rows ORDER BY n"
        for n, (kind, value) in zip(decided, engine.execute(query).fetchall(), strict=True):
            assert (function.kind, exact(found[n])) == (kind, exact(value)), (sql, rows[n])
        if function.kind == "BOOLEAN":
            # Filters are optimized differently, and may be computed while a table is read.
            query = f"SELECT n FROM rows WHERE ({sql}) IS FALSE ORDER BY n"
            broken = [n for (n,) in engine.execute(query).fetchall()]
            assert broken == [n for n in decided if found[n] is False], sql
    return found


def load(engine: duckdb.DuckDBPyConnection, rows: Mapping[int, Mapping[str, Any]]) -> None:
    engine.execute("DELETE FROM rows")
    places = "(" + ", ".join("?" * (len(COLUMNS) + 1)) + ")"
    cells = [cell for n, row in rows.items() for cell in (n, *map(row.__getitem__, COLUMNS))]
    engine.execute(f"INSERT INTO rows VALUES {', '.join([places] * len(rows))}", cells)


@settings(max_examples=600)
@given(sql=expressions(), rows=st.lists(ROWS, min_size=1, max_size=8))
def test_a_result_is_the_engines(
    engine: duckdb.DuckDBPyConnection, sql: str, rows: list[dict[str, Any]]
) -> None:
    require_agreement(engine, sql, rows)
