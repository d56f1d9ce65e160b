"""The SQL for common cells gives the same value as the SQL for all cells."""

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from factory_assets.data.contract.sql_types import SQL_TYPES, common_form_sql, typed_sql, value_sql
from factory_assets.spec.contract import ColumnType
from tests.random_examples import examples

NUMBERS = st.from_regex(r"[ +-]?[0-9_]{0,20}(\.[0-9]{0,8})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)

TIMES = st.from_regex(
    r"\s?[0-9]{1,5}-[01]?[0-9]-[0-3]?[0-9]([ T][0-9:]{2,8}(\.[0-9]{1,9})?(Z|[+-][0-9]{2})?)?",
    fullmatch=True,
)

WORDS = st.sampled_from(["true", "False", "inf", "nan", "epoch", "infinity", "NA", "-99", "", "é "])

CELLS = st.one_of(
    NUMBERS,
    TIMES,
    WORDS,
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6),
)

TOKENS = st.lists(st.sampled_from(["NA", "-99", "1", "0.0", "2020-01-01", "true"]), max_size=3)


@pytest.mark.parametrize("wanted", SQL_TYPES)
@settings(max_examples=examples(60), deadline=None)
@given(cells=st.lists(CELLS, min_size=1, max_size=60), tokens=TOKENS)
@example(cells=["2020-01-01 00:00:00", "2020-01-01 00:00:60", "1_0", "-0", "0"], tokens=["-0.0"])
@example(cells=["2020-01-01 1:2:3:04", "2020-01-01 00:00+01", "0999-12-31 23:59:59"], tokens=[])
@example(cells=["10000-01-1 00:00:00", "99-6-1    010:00:00", "9999-12-31 24:00:00"], tokens=[])
@example(cells=["9007199254740993", "-9007199254740993", "9007199254740991.5"], tokens=[])
def test_a_plain_cell_has_the_same_value_as_by_the_general_sql(
    wanted: ColumnType, cells: list[str], tokens: list[str]
) -> None:
    missing = ["", *tokens]
    quick = common_form_sql("cell", wanted, missing)
    thorough = typed_sql("p", "VARCHAR", wanted)
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        different = connection.execute(
            f"SELECT cell, t, v FROM (SELECT *, {thorough} AS v FROM (SELECT cell, {quick} AS t, "
            f"{value_sql('cell', 'VARCHAR', missing)} AS p FROM (SELECT unnest(?) AS cell))) "
            "WHERE t IS NOT NULL AND t IS DISTINCT FROM v",
            [cells],
        ).fetchall()
    assert different == []


@pytest.mark.parametrize(
    ("wanted", "cell"),
    [
        ("int64", "-120"),
        ("float64", "-3.25e4"),
        ("float64", "0.30000000000000004"),
        ("string", "a b"),
        ("bool", "true"),
        ("date", "2024-02-29"),
        ("timestamp", "2024-02-29 23:59:59"),
        ("timestamp", "2024-02-29T23:59:59"),
    ],
)
def test_the_most_common_form_of_each_type_is_plain(wanted: ColumnType, cell: str) -> None:
    with duckdb.connect(":memory:") as connection:
        sql = common_form_sql("cell", wanted, [""])
        found = connection.execute(f"SELECT {sql} FROM (SELECT ? AS cell)", [cell]).fetchone()
    assert found is not None
    assert found[0] is not None


@pytest.mark.parametrize("wanted", ["date", "timestamp"])
@pytest.mark.parametrize(
    ("kind", "cells"),
    [
        ("DATE", "'infinity', '-infinity', '5000000-01-01', '5877642-06-25 (BC)'"),
        ("TIMESTAMP", "'infinity', '-infinity', '10000-01-01', '290309-12-22 (BC)'"),
        ("TIMESTAMP WITH TIME ZONE", "'infinity', '-infinity', '10000-01-01', NULL"),
        # The earliest and the latest times of pandas.
        (
            "TIMESTAMP_NS",
            "'infinity', '-infinity', make_timestamp_ns(-9223372036854775806), "
            "make_timestamp_ns(9223372036854775806)",
        ),
    ],
)
def test_a_time_that_cannot_be_stored_is_no_value(
    kind: str, cells: str, wanted: ColumnType
) -> None:
    with duckdb.connect(":memory:") as connection:
        sql = typed_sql("cell", kind, wanted)
        query = f"SELECT {sql} FROM (SELECT unnest(CAST([{cells}] AS {kind}[])) AS cell)"
        assert connection.execute(query).fetchall() == [(None,)] * 4


@pytest.mark.parametrize("zone", ["BST", "IST", "CST", "pst", "CET"])
def test_a_time_with_an_abbreviation_of_several_zones_is_no_value(zone: str) -> None:
    shown = "2024-07-01 12:00"
    texts = [f"{shown} {zone}", f"{shown}:00.5 {zone}", f"{shown} UTC", f"{shown} Africa/Lome"]
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        sql = typed_sql("cell", "VARCHAR", "timestamp")
        query = f"SELECT CAST({sql} AS VARCHAR) FROM (SELECT unnest(?) AS cell)"
        found = connection.execute(query, [texts]).fetchall()
    assert found == [(None,), (None,), (f"{shown}:00",), (f"{shown}:00",)]


@pytest.mark.parametrize("kind", ["DECIMAL(38,38)", "DECIMAL(38,37)", "DECIMAL(38,30)"])
def test_a_fraction_is_no_whole_number_even_of_a_type_that_cannot_hold_the_next_one(
    kind: str,
) -> None:
    digits, scale = map(int, kind.removeprefix("DECIMAL(").removesuffix(")").split(","))
    largest = f"{'9' * (digits - scale)}.{'9' * scale}"
    sql = f"SELECT {typed_sql('v', kind, 'int64')} FROM (SELECT unnest([?, '0'])::{kind} AS v)"
    with duckdb.connect(":memory:") as connection:
        assert connection.execute(sql, [largest]).fetchall() == [(None,), (0,)]
