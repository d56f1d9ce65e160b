"""Row functions: whatever they compute, the engine computes too, bit for bit."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_resources.sql.row_functions import RowFunction, compile_bound, compile_expression
from factory_resources.sql.scalar import math_library
from factory_resources.sql.scalar.binding import Kind, NotCertainError, bind
from factory_resources.sql.scalar.values import UndecidedError
from tests.factory_resources.sql.row_grammar import COLUMNS, ROWS, expressions
from tests.random_examples import examples

UNDECIDED = object()


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as connection:
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        connection.execute(f"CREATE TABLE rows (n INTEGER, {columns})")
        yield connection


def compiled(engine: duckdb.DuckDBPyConnection, sql: str) -> RowFunction | None:
    """Like `compile_expression`, in an engine that is open already."""
    try:
        return compile_bound(bind(sql, COLUMNS, engine))
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


@settings(max_examples=examples(600))
@given(sql=expressions(), rows=st.lists(ROWS, min_size=1, max_size=8))
def test_a_result_is_the_engines(
    engine: duckdb.DuckDBPyConnection, sql: str, rows: list[dict[str, Any]]
) -> None:
    require_agreement(engine, sql, rows)


def a_row(**cells: Any) -> dict[str, Any]:
    return {**dict.fromkeys(COLUMNS), **cells}


@pytest.mark.parametrize(
    ("sql", "cells", "result"),
    [
        # Types: `/` yields a double, integer literals have 32 bits, columns 64.
        ("a / 2", {"a": 7}, 3.5),
        ("a // -2", {"a": 7}, -3),
        ("a % 3", {"a": -7}, -1),
        ("x % -3", {"x": 7.5}, 1.5),
        ("i + 1", {"i": 2**31 - 2}, 2**31 - 1),
        ("a + 1", {"a": 2**31 - 1}, 2**31),
        # A decimal literal is exact until it meets a double, and has no negative zero.
        ("x * 0.1", {"x": 3.0}, 0.30000000000000004),
        ("a * 0.1 = 0.3", {"a": 3}, True),
        ("x + -0.0", {"x": -0.0}, 0.0),
        ("x + -0e0", {"x": -0.0}, -0.0),
        ("a > 0.5", {"a": 1}, True),
        ("a + 0.5 > x", {"a": 1, "x": 1.5}, False),
        # Signed zeros are equal; the first one is the greatest and the least.
        ("x = y", {"x": 0.0, "y": -0.0}, True),
        ("greatest(x, y)", {"x": -0.0, "y": 0.0}, -0.0),
        ("least(x, y)", {"x": 0.0, "y": -0.0}, 0.0),
        ("ceil(x)", {"x": -0.5}, -0.0),
        ("floor(x)", {"x": -0.0}, -0.0),
        ("round(x)", {"x": -2.5}, -3.0),
        ("round(x)", {"x": 0.49999999999999994}, 0.0),
        ("x::BIGINT", {"x": 2.5}, 2),
        ("x::BIGINT", {"x": 3.5}, 4),
        ("t::DOUBLE", {"t": True}, 1.0),
        ("x IN (0, 5)", {"x": -0.0}, True),
        # Three values of truth.
        ("t AND f", {"t": None, "f": False}, False),
        ("t AND f", {"t": None, "f": True}, None),
        ("t OR f", {"t": None, "f": True}, True),
        ("t OR f", {"t": None, "f": False}, None),
        ("NOT t", {}, None),
        ("a IN (1, 2, NULL)", {"a": 2}, True),
        ("a IN (1, 2, NULL)", {"a": 3}, None),
        ("a NOT IN (1, 2)", {}, None),
        ("a BETWEEN 1 AND b", {"a": 0}, False),
        ("a BETWEEN 1 AND b", {"a": 1}, None),
        ("a IS DISTINCT FROM b", {}, False),
        ("t IS NOT TRUE", {}, True),
        ("CASE WHEN t THEN 1 END", {}, None),
        ("CASE a WHEN NULL THEN 1 ELSE 2 END", {}, 2),
        ("greatest(a, 1)", {}, 1),
        ("nullif(a, 1)", {"a": 1}, None),
        ("coalesce(a, x, 1)", {"x": 0.5}, 0.5),
        # A branch that is not taken may fail.
        ("CASE WHEN a <> 0 THEN 1 // a ELSE 7 END", {"a": 0}, 7),
        ("CASE WHEN t THEN 1 ELSE 2147483647 + 1 END", {"t": True}, 1),
        # Texts: concat skips NULL, `||` does not; positions count characters.
        ("concat(s, ' ', t)", {"s": "é", "t": True}, "é true"),
        ("concat(s, u)", {}, ""),
        ("s || u", {"s": "a"}, None),
        ("length(s)", {"s": "e\u0301🙂"}, 3),
        ("instr(s, 'b')", {"s": "éb"}, 2),
        ("s < u", {"s": "\uffff", "u": "\U00010000"}, True),
        ("trim(s)", {"s": " \ta "}, "\ta"),
        ("s LIKE '%aba%aba%'", {"s": "ababa"}, False),
        ("s LIKE 'ab%ba'", {"s": "aba"}, False),
        ("s LIKE '_\n%'", {"s": "a\n\n"}, True),
        ("TRY_CAST(s AS DOUBLE)", {"s": "250.83"}, 250.83),
        ("TRY_CAST(s AS DOUBLE)", {"s": "V57"}, None),
        ("CAST(s AS BIGINT)", {"s": "-007"}, -7),
        ('"A" + B', {"a": 1, "b": 2}, 3),
        ("2 * pi()", {}, 6.283185307179586),
    ],
)
def test_a_function_computes(
    engine: duckdb.DuckDBPyConnection, sql: str, cells: dict[str, Any], result: Any
) -> None:
    [found] = require_agreement(engine, sql, [a_row(**cells)])
    assert exact(found) == exact(result)


@pytest.mark.parametrize(
    ("sql", "cells"),
    [
        # The engine fails.
        ("a // b", {"a": 1, "b": 0}),
        ("a + 1", {"a": 2**63 - 1}),
        ("i * 2", {"i": 2**30}),
        ("-a", {"a": -(2**63)}),
        ("abs(i)", {"i": -(2**31)}),
        ("a::INTEGER", {"a": 2**31}),
        ("s::BIGINT", {"s": "x"}),
        # Whether it fails depends on which operand it evaluates, or evaluates first.
        ("t AND 1 // a > 0", {"t": False, "a": 0}),
        ("t OR 1 // a > 0", {"t": True, "a": 0}),
        ("coalesce(b, 1 // a)", {"b": 1, "a": 0}),
        ("a IN (1, 1 // b)", {"a": 1, "b": 0}),
        ("a BETWEEN b AND 1 // b", {"a": -1, "b": 0}),
        ("2147483647 + (i + 2)", {"i": -5}),
        ("2147483640 + (i + 2147483640)", {}),
        ("3 * (i * 2147483647)", {"i": 0}),
        # Doubles that are not finite, or numbers that no double equals.
        ("x", {"x": float("nan")}),
        ("x > 0", {"x": float("inf")}),
        ("x / y", {"x": 1.0, "y": 0.0}),
        ("x * 10", {"x": 1.7e308}),
        ("exp(x)", {"x": 1000.0}),
        ("ln(x)", {"x": 0.0}),
        ("sqrt(x)", {"x": -1.0}),
        ("pow(x, -1)", {"x": 0.0}),
        ("a = 9007199254740992e0", {"a": 2**53 + 1}),
        # Texts whose case or length is not that of ASCII, or that no engine can hold.
        ("lower(s)", {"s": "İ"}),
        ("trim(s)", {"s": "\u00a0a"}),
        ("s LIKE '_'", {"s": "e\u0301"}),
        ("left(s, -1)", {"s": "abc"}),
        ("replace(s, u, 'x')", {"s": "abc", "u": ""}),
        ("s = 'a'", {"s": "\ud800"}),
        ("s = 'a'", {"s": "a\0"}),
        ("s = 'a'", {"s": "é\0"}),
        ("TRY_CAST(s AS DOUBLE)", {"s": "infinity"}),
        ("TRY_CAST(s AS DOUBLE)", {"s": "0.1234567890123456789"}),
        ("TRY_CAST(s AS BIGINT)", {"s": "1.5"}),
        # Values of another type than the column.
        ("x", {"x": 1}),
        ("a", {"a": True}),
        ("a", {"a": 2**63}),
        ("i", {"i": 2**31}),
        ("t", {"t": 1}),
        ("s", {"s": 1}),
    ],
)
def test_only_the_engine_decides(
    engine: duckdb.DuckDBPyConnection, sql: str, cells: dict[str, Any]
) -> None:
    function = compiled(engine, sql)
    assert function is not None
    with pytest.raises(UndecidedError):
        function.compute(a_row(**cells))


@pytest.mark.parametrize(
    "sql",
    [
        "round(x, 2)",  # the engine rounds in its own way
        "x::VARCHAR",
        "x // y",
        "a * 0.5",  # a DECIMAL
        "a::FLOAT",
        "(a * 2.5)::BIGINT",
        "s::DATE",
        "NULL",
        "[a, b]",
        "{'k': a}",
        "regexp_extract(s, '[0-9]+')",
        "s LIKE u",
        "s LIKE 'a\\%'",
        "s ILIKE 'é'",
        "s LIKE '%_%_%_%'",
        "s = 'a' COLLATE NOCASE",
        "99999999999999999999 > a",
        "acos(acos(2e0))",  # the engine binds it to the constant NaN
        "ln(exp(1000e0)) > x",
        "coalesce(i + 2, 3) + 2147483640",  # if i is never missing, the engine adds the constants
        "((i + 2) * 1) + 2147483640",
        "a + " * 150 + "a",
        "sum(a) OVER ()",
        "rowid",
        "(SELECT 1)",
        "random()",
        "no_such_column",
        "no_such_function(a)",
        "a > s",
        "a, b",
        "a +",
        "",
    ],
)
def test_what_is_not_certain_is_not_compiled(sql: str) -> None:
    assert compile_expression(sql, COLUMNS) is None


def test_a_function_tells_its_type_and_its_columns() -> None:
    function = compile_expression(
        "CASE WHEN Torque > 1 THEN KIND END", {"torque": "DOUBLE", "Kind": "VARCHAR"}
    )
    assert function is not None
    assert (function.kind, function.columns) == ("VARCHAR", ("torque", "kind"))
    assert function.compute({"torque": 2.0, "kind": "é"}) == "é"
    with pytest.raises(KeyError):
        function.compute({"torque": 2.0})


def test_columns_that_differ_only_in_case_are_not_compiled() -> None:
    assert compile_expression("a", {"a": "BIGINT", "A": "DOUBLE"}) is None
    assert compile_expression("é", {"é": "BIGINT", "É": "DOUBLE"}) is None
    assert compile_expression("1", {}) is None


def test_a_connection_serves_many_expressions(engine: duckdb.DuckDBPyConnection) -> None:
    first = compile_expression("a + 1", {"a": "BIGINT"}, engine)
    second = compile_expression("a || 'x'", {"a": "VARCHAR"}, engine)
    assert first is not None
    assert second is not None
    assert (first.compute({"a": 1}), second.compute({"a": "1"})) == (2, "1x")


@pytest.mark.parametrize("listed", [5, 3000])
def test_membership_in_a_long_list_is_the_engines(
    engine: duckdb.DuckDBPyConnection, listed: int
) -> None:
    numbers = ", ".join(f"{n}.5e0" for n in range(listed))
    rows = [a_row(x=x) for x in (-0.0, 0.5, 1.0, 2999.5, None)]
    for sql in (f"x IN (0e0, {numbers})", f"x NOT IN ({numbers}, NULL)"):
        assert UNDECIDED not in require_agreement(engine, sql, rows)


def test_a_long_text_is_left_to_the_engine(engine: duckdb.DuckDBPyConnection) -> None:
    sql = "s"
    for _ in range(8):
        sql = f"replace({sql}, 'a', 'aaaaaaaaaa')"
    function = compiled(engine, sql)
    assert function is not None
    with pytest.raises(UndecidedError):
        function.compute({"s": "a"})


def test_a_function_that_the_engine_rounds_differently_is_not_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns: dict[str, Kind] = {"x": "DOUBLE"}
    assert math_library.shared_with_engine() == set(math_library.LIBRARY)
    math_library.shared_with_engine.cache_clear()
    monkeypatch.setitem(
        math_library.LIBRARY, "exp", lambda x: math.nextafter(math.exp(x), math.inf)
    )
    try:
        assert compile_expression("exp(x)", columns) is None
        assert compile_expression("ln(x)", columns) is not None
    finally:
        math_library.shared_with_engine.cache_clear()


@pytest.mark.parametrize(
    "sql",
    [
        "torque * speed * 2 * pi() / 60",
        "process_temperature - air_temperature",
        "tool_wear * torque",
        "torque > 0 AND kind IN ('a', 'b')",
        "process_temperature > air_temperature",
        "CASE kind WHEN 'train' THEN least(tool_wear, 125) ELSE tool_wear END",
        "tool_wear NOT IN (11, 13, 14, 19, 20, 21)",
        "TRY_CAST(kind AS DOUBLE)",
        "concat(kind, ' ', tool_wear > 0)",
        "torque BETWEEN 0 AND 1e3",
        "replace(lower(trim(kind)), ',', '.')::DOUBLE",
        "ln(1 + abs(torque)) / nullif(speed, 0)",
    ],
)
def test_ordinary_declarations_are_compiled(sql: str) -> None:
    columns: dict[str, Kind] = {
        "torque": "DOUBLE", "speed": "BIGINT", "tool_wear": "BIGINT", "kind": "VARCHAR",
        "process_temperature": "DOUBLE", "air_temperature": "DOUBLE",
    }  # fmt: skip
    assert compile_expression(sql, columns) is not None
