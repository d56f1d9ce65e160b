"""Rows of every type, copied to a real PostgreSQL and back, and compared on both sides."""

import math
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factory_resources.errors import StorageError
from factory_resources.migration.catalog import StoredTable, tables_of
from factory_resources.migration.copying import (
    digest_of,
    fill_postgres,
    fill_sqlite,
    postgres_digest,
    postgres_rows,
    require_equal,
    sqlite_rows,
)
from factory_resources.migration.server import connected
from tests.postgres import Postgres
from tests.random_examples import examples

_POSTGRES = """\
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE everything.kinds (number bigint, ratio double precision, label varchar, body bytea,
  truth boolean, moment timestamp, day date, config json, mood mood)
"""
_SQLITE = """\
CREATE TABLE kinds (number BIGINT, ratio FLOAT, label VARCHAR, body BLOB, truth BOOLEAN,
  moment DATETIME, day DATE, config JSON, mood VARCHAR)
"""

_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
_MOMENTS = st.datetimes().map(lambda one: f"{one:%Y-%m-%d %H:%M:%S.%f}".rjust(26, "0"))
_DAYS = st.dates().map(str)
_ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
        # SQLite stores NaN as NULL, and has no negative zero.
        st.none() | st.floats(allow_nan=False).map(lambda number: number + 0.0),
        st.none() | _TEXTS,
        st.none() | st.binary(),
        st.none() | st.integers(0, 1),
        st.none() | _MOMENTS,
        st.none() | _DAYS,
        st.none() | st.sampled_from(['{"a":  1}', "[1.0, null]", '"\\\\n"']),
        st.none() | st.sampled_from(["good", "bad"]),
    ),
    max_size=20,
)


@pytest.fixture(scope="module")
def connection(postgres: Postgres) -> Iterator[Any]:
    postgres.execute("DROP DATABASE IF EXISTS kinds", "CREATE DATABASE kinds")
    with connected(postgres.url.replace("/postgres?", "/kinds?")) as connection:
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA everything; {_POSTGRES}")
        connection.autocommit = False
        yield connection
        connection.rollback()


@pytest.fixture(scope="module")
def table(connection: Any) -> StoredTable:
    [table] = tables_of(connection, "everything")
    return table


def _sqlite() -> "closing[sqlite3.Connection]":
    connection = sqlite3.connect(":memory:")
    connection.execute(_SQLITE)
    return closing(connection)


def _there_and_back(connection: Any, table: StoredTable, rows: list[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE everything.kinds")
    with _sqlite() as source, _sqlite() as target:
        fill_sqlite(source, table, rows)
        sent = fill_postgres(connection, table, sqlite_rows(source, table))
        assert sent == postgres_digest(connection, table)
        for batch in postgres_rows(connection, table):
            fill_sqlite(target, table, batch)
        assert sent == digest_of(table, sqlite_rows(target, table))
        return target.execute("SELECT * FROM kinds ORDER BY rowid").fetchall()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(60))
@given(_ROWS)
def test_every_value_comes_back_and_has_one_digest(
    connection: Any, table: StoredTable, rows: list[Any]
) -> None:
    assert repr(_there_and_back(connection, table, rows)) == repr(rows)


def test_numbers_that_engines_write_in_their_own_way_come_back(
    connection: Any, table: StoredTable
) -> None:
    [hard] = struct.unpack("<d", bytes.fromhex("000000000000303d"))
    numbers = [1e15, 1e16, 1e-5, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, hard, math.inf]
    rows = [(None, number, *[None] * 7) for number in numbers]
    assert repr(_there_and_back(connection, table, rows)) == repr(rows)


def test_a_negative_zero_of_postgresql_is_a_zero_in_sqlite(
    connection: Any, table: StoredTable
) -> None:
    _there_and_back(connection, table, [(None, 1.0, *[None] * 7)])
    with connection.cursor() as cursor, _sqlite() as target:
        cursor.execute("UPDATE everything.kinds SET ratio = '-0.0'")
        [batch] = postgres_rows(connection, table)
        fill_sqlite(target, table, batch)
        stored = digest_of(table, sqlite_rows(target, table))
    assert stored == digest_of(table, [batch]) == postgres_digest(connection, table)


def test_every_character_of_a_text_comes_back(connection: Any, table: StoredTable) -> None:
    texts = [*map(chr, range(1, 256)), "\\N", "\\\\.", "", "a\r\nb", "\U0001f34e"]
    rows = [(None, None, text, *[None] * 6) for text in texts]
    assert repr(_there_and_back(connection, table, rows)) == repr(rows)


def test_what_is_stored_otherwise_than_sent_is_found(connection: Any, table: StoredTable) -> None:
    rows = [(number, None, "a", *[None] * 6) for number in range(3)]
    _there_and_back(connection, table, rows)
    sent = digest_of(table, [rows])
    require_equal(table, sent, postgres_digest(connection, table))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE everything.kinds SET label = 'b' WHERE number = 1")
    with pytest.raises(StorageError, match=r"everything\.kinds has 3 rows with the digest"):
        require_equal(table, sent, postgres_digest(connection, table))


def test_a_value_that_postgresql_refuses_is_one_line(connection: Any, table: StoredTable) -> None:
    rows = [(1, None, "a\0b", *[None] * 6)]
    with pytest.raises(StorageError, match="table kinds: a text contains the character NUL"):
        fill_postgres(connection, table, [rows])
    connection.rollback()
    with pytest.raises(StorageError, match="table kinds: invalid input value for enum mood"):
        fill_postgres(connection, table, [[(1, *[None] * 7, "odd")]])
    connection.rollback()
