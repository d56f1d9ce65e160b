"""What the engine's binder makes of an expression; computing it is tested with row functions."""

from collections.abc import Iterator

import duckdb
import pytest

from factory_resources.sql.scalar.binding import Bound, Kind, NotCertainError, SqlType, bind

_COLUMNS: dict[str, Kind] = {"a": "BIGINT", "b": "BIGINT", "t": "BOOLEAN"}


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as connection:
        yield connection


def test_implicit_casts_are_spelled_out(engine: duckdb.DuckDBPyConnection) -> None:
    double = SqlType("DOUBLE")
    assert bind("X * 0.5", {"x": "DOUBLE"}, engine) == Bound(
        "*",
        double,
        (
            Bound("COLUMN", double, value="x"),
            Bound("CAST", double, (Bound("CONSTANT", SqlType("DECIMAL", 2, 1), value=5),)),
        ),
    )


def test_a_case_has_conditions_and_results_in_turn(engine: duckdb.DuckDBPyConnection) -> None:
    bound = bind("CASE WHEN t THEN a WHEN a > 1 THEN b ELSE a END", _COLUMNS, engine)
    assert [part.operation for part in bound.children] == ["COLUMN", "COLUMN", ">", *["COLUMN"] * 2]
    assert bound.columns == ("t", "a", "b")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("a), (b", "not one expression"),
        ("a, b", "TUPLE"),
        ("a) FROM bound_row WHERE (t", "syntax error"),
        ("a +", "syntax error"),
        ("c", "not found"),
        ("sum(a)", "not one expression"),
        ("row_number() OVER ()", "not one expression"),
        ("rowid", "BOUND_REF"),
        ("[a]", "LIST"),
        ("99999999999999999999", "of parts"),
        ("'a' COLLATE NOCASE", "VARCHAR of a special kind"),
        ("acos(acos(2e0))", "not finite"),
        ("a + " * 150 + "a", "nested too deeply"),
    ],
)
def test_what_is_not_certain(engine: duckdb.DuckDBPyConnection, sql: str, message: str) -> None:
    with pytest.raises(NotCertainError, match=message):
        bind(sql, _COLUMNS, engine)
