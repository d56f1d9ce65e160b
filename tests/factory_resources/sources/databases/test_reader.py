"""Databases as sources: real PostgreSQL and SQLite, read-only, sorted, without leaked secrets."""

import random
import socket
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest

from factory_resources.errors import SourceError
from factory_resources.home.home import Home
from factory_resources.sources.databases import sqlite
from factory_resources.sources.databases.query import DatabaseQuery
from factory_resources.sources.databases.reader import read_database
from factory_resources.sources.files.reader import SourceTable
from tests.postgres import Postgres

SECRET = "p@ss/w:rd#%4711"
"""A password that no message may contain."""


@pytest.fixture
def read(tmp_path: Path, home: Home) -> Any:
    numbers = iter(range(100))

    def _read(database: str = "PLANT_DB", **request: Any) -> SourceTable:
        scratch = tmp_path / f"scratch{next(numbers)}"
        scratch.mkdir()
        return read_database(DatabaseQuery(database, **request), tmp_path, home, scratch)

    return _read


@pytest.fixture(scope="session")
def plant(postgres: Postgres) -> Postgres:
    """A server with a table and a user who may read it."""
    postgres.execute(
        "CREATE TABLE readings (id bigint, site text, value double precision)",
        "INSERT INTO readings SELECT i, CASE i % 2 WHEN 0 THEN 'ulm' ELSE 'jena' END, i / 7.0 "
        "FROM generate_series(1, 1000) i",
        "CREATE TABLE hidden (x int)",
        "CREATE ROLE reader LOGIN PASSWORD 'p@ss/w:rd#%4711'",
        "GRANT SELECT ON readings TO reader",
    )
    return postgres


@pytest.fixture
def known(plant: Postgres, monkeypatch: pytest.MonkeyPatch) -> Postgres:
    monkeypatch.setenv("PLANT_DB", plant.url_of("reader", SECRET))
    return plant


def _rows(raw: SourceTable) -> list[dict[str, Any]]:
    names = {inner: column for column, (inner, _) in raw.columns.items()}
    table = pq.read_table(raw.path)
    assert table.num_rows == raw.rows
    rows: list[dict[str, Any]] = table.rename_columns(names).to_pylist()
    return rows


def _refused(read: Any, message: str, *args: Any, **request: Any) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        read(*args, **request)
    shown = [str(caught.value)]
    error: BaseException | None = caught.value
    while error := (error.__cause__ or error.__context__ if error else None):
        shown.append(str(error))
    for text in shown:
        assert "\n" not in shown[0]
        for piece in (SECRET, "p%40ss", "w:rd", "4711", "'word'", "postgresql://reader"):
            assert piece not in text


def test_a_table_is_sorted_whatever_order_it_is_stored_in(known: Postgres, read: Any) -> None:
    first = read(table="readings")
    assert (first.rows, first.name, first.format) == (1000, "PLANT_DB/readings", None)
    assert _rows(first)[0] == {"id": 1, "site": "jena", "value": 1 / 7}
    # An update moves the row to the end of the table.
    known.execute("UPDATE readings SET site = site WHERE id = 5")
    assert read(table="public.readings").sha256 == first.sha256
    known.execute("UPDATE readings SET value = 0 WHERE id = 5")
    assert read(table="readings").sha256 != first.sha256
    known.execute("UPDATE readings SET value = 5 / 7.0 WHERE id = 5")
    assert read(table="readings").sha256 == first.sha256


def test_rows_are_sorted_by_the_key_and_then_by_the_other_columns(
    known: Postgres, read: Any
) -> None:
    raw = read(table="readings", key=("site", "value"))
    assert [row["id"] for row in _rows(raw)] == [*range(1, 1000, 2), *range(2, 1001, 2)]
    _refused(
        read, "no column 'plant'; .*available: id, site, value", table="readings", key=("plant",)
    )


def test_parameters_are_bound(known: Postgres, read: Any) -> None:
    sql = "SELECT id, :note::text AS note FROM readings WHERE id <= :most AND site = :site; -- end"
    evil = "x'; DROP TABLE readings; --"
    raw = read(query=sql, parameters={"most": 4, "site": "ulm", "note": evil})
    assert _rows(raw) == [{"id": 2, "note": evil}, {"id": 4, "note": evil}]
    flags = "SELECT 1 AS one WHERE :yes AND :half < 0.6"
    assert read(query=flags, parameters={"yes": True, "half": 0.5}).rows == 1
    _refused(read, r"parameter :most has no value; give it", query="SELECT :most")
    _refused(read, r"parameter 'm' is not in", query="SELECT 1 AS a", parameters={"m": 1})
    day = "SELECT count(*) AS n FROM readings WHERE now() > CAST(:day AS date)"
    assert _rows(read(query=day, parameters={"day": "2020-01-01"})) == [{"n": 1000}]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM readings",
        "WITH gone AS (DELETE FROM readings RETURNING *) SELECT * FROM gone",
        "SELECT * INTO copied FROM readings",
        "SELECT 1; SELECT 2",
        "SELECT * FROM readings FOR UPDATE",
        "COPY readings TO '/tmp/x'",
        "SET default_transaction_read_only = off",
        "EXPLAIN SELECT 1",
        "SELECT (",
        ";",
    ],
)
def test_anything_but_one_select_is_refused(sql: str, known: Postgres, read: Any) -> None:
    _refused(read, r"write one SELECT", query=sql)


def test_functions_in_a_select_cannot_write(known: Postgres, read: Any) -> None:
    known.execute(
        "CREATE OR REPLACE FUNCTION wipe() RETURNS int LANGUAGE sql SECURITY DEFINER AS "
        "'DELETE FROM readings RETURNING 1'"
    )
    _refused(read, "read-only transaction", query="SELECT wipe() AS x")
    _refused(
        read,
        "read-write mode|read-only",
        query="SELECT set_config('transaction_read_only', 'off', true) AS a, wipe() AS b",
    )
    assert known.execute("SELECT count(*) FROM readings") == [(1000,)]


def test_postgres_types_are_stored_as_duckdb_types(known: Postgres, read: Any) -> None:
    raw = read(
        query="SELECT 1.50::numeric(10, 2) AS exact, 1.5::numeric AS free, "
        "'2024-01-02 03:04:05+02'::timestamptz AS instant, DATE '2024-02-29' AS day, "
        "'00000000-0000-0000-0000-000000000007'::uuid AS id, '{\"a\": 1}'::jsonb AS tree, "
        "true AS yes, 1::smallint AS small, NULL::text AS nothing, 'a'::char(3) AS padded, "
        '1 AS "file_row_number", 2 AS "Odd ""name"""'
    )
    kinds = {column: kind for column, (_, kind) in raw.columns.items()}
    assert [*kinds.values()] == [
        *("DECIMAL(10,2)", "DOUBLE", "TIMESTAMP WITH TIME ZONE", "DATE", "UUID", "VARCHAR"),
        *("BOOLEAN", "SMALLINT", "VARCHAR", "VARCHAR", "INTEGER", "INTEGER"),
    ]
    [row] = _rows(raw)
    assert str(row["instant"]) == "2024-01-02 01:04:05+00:00"
    assert (row["tree"], row["nothing"], row['Odd "name"']) == ('{"a": 1}', None, 2)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1e20", 1e20),
        ("9007199254740992", 9007199254740992.0),
        ("0.12345678901234567891", 0.12345678901234568),
        ("1234567890123456789.5", 1.2345678901234568e18),
        ("'NaN'", None),
        ("'Infinity'", float("inf")),
        ("NULL", None),
    ],
)
def test_numbers_of_any_precision_are_floating_point(
    expression: str, expected: float | None, known: Postgres, read: Any
) -> None:
    [row] = _rows(read(query=f"SELECT {expression}::numeric AS c"))
    assert row["c"] == expected or (expression == "'NaN'" and row["c"] != row["c"])


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("'x'::bytea", r"'c' is of type bytea.*encode\(\"c\", 'hex'\)"),
        ("ARRAY[1, 2]", r"'c' is of type int4\[\].*array_to_string"),
        ("interval '1 day'", "of type interval.*extract"),
        ("3.5::money", "of type money.*AS numeric"),
        ("'10.0.0.1'::inet", "of type inet.*AS text"),
        ("TIME '24:00'", r"holds a value that cannot be stored as time; .*AS text\)"),
        ("'NaN'::numeric(5, 2)", "holds a value that cannot be stored as numeric"),
        ("12345678901234567891::numeric", r"12345678901234567891.*rounded.*AS text\)"),
        ("-9007199254740993::numeric", "-9007199254740993, which would be rounded"),
        ("repeat('9', 400)::numeric", "holds 9{40}…, which would be rounded"),
        ("repeat('9', 5000)::numeric", "holds 9{40}…, which would be rounded"),
    ],
)
def test_types_that_cannot_be_stored_are_refused(
    expression: str, message: str, known: Postgres, read: Any
) -> None:
    _refused(read, message, query=f"SELECT {expression} AS c")


def test_wrong_queries_to_postgres_are_refused(known: Postgres, read: Any) -> None:
    _refused(read, r"no table 'reading'; did you mean 'readings'", table="reading")
    known.execute('CREATE TABLE "of.may" (x int)', 'GRANT SELECT ON "of.may" TO reader')
    says = r"no table 'may' in schema 'of'.*source\.query: SELECT \* FROM \"of\.may\"$"
    _refused(read, says, table="of.may")
    _refused(read, "refuses access .permission denied for table hidden.*GRANT", table="hidden")
    _refused(read, r'reports: column "sit" does not exist', query="SELECT sit FROM readings")
    _refused(read, "reports: division by zero", query="SELECT 1 / (id - id) AS x FROM readings")
    _refused(read, "two columns named 'id'", query="SELECT id, id FROM readings")
    slow = "SELECT count(*) AS n FROM readings, pg_sleep(60)"
    _refused(read, "did not finish within 1 s.*source.timeout", query=slow, timeout=1)


def test_an_unreachable_server_is_reported_without_its_url(
    plant: Postgres, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    quoted = plant.url_of("x", SECRET).split("@")[0].removeprefix("postgresql://x:")
    for url, message in [
        (plant.url_of("reader", "wrong" + SECRET), "refuses the user or the password"),
        (plant.url_of("nobody", SECRET), "refuses the user or the password"),
        (plant.url_of("reader", SECRET, "nowhere"), "no database of that name"),
        (f"postgresql://reader:{quoted}@127.0.0.1:1/x", "connection refused"),
        (f"postgresql://reader:{quoted}@/x?host=/no/where", "no server listens"),
        # A password that is not quoted makes the driver quote pieces of it.
        (f"postgresql://reader:{SECRET}@127.0.0.1/x", "cannot be reached"),
        (f"postgresql://reader:p%zz{quoted}@127.0.0.1/x", "URL is invalid"),
        ("postgresql://reader:word/7@127.0.0.1/x", r"^secret PLANT_DB contains a URL that cannot"),
        ("postgresql://reader:word@[::1/x", "a URL that cannot be read"),
        (f"mysql://reader:{SECRET}@127.0.0.1/x", "not contain the URL of a supported database"),
    ]:
        monkeypatch.setenv("PLANT_DB", url)
        _refused(read, message, table="readings")
    monkeypatch.delenv("PLANT_DB")
    _refused(read, "secret PLANT_DB is not set", table="readings")


def test_a_password_that_the_server_repeats_is_not_shown(
    plant: Postgres, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = plant.url_of("reader", SECRET)
    option = f"postgresql://reader@/postgres?host={plant.socket}&password={quote(SECRET)}"
    for url in (login, option):
        monkeypatch.setenv("PLANT_DB", url)
        query = f"SELECT CAST('{SECRET}' AS integer) AS x"
        _refused(read, r'invalid input syntax for type integer: "\*\*\*"', query=query)


def test_a_certificate_that_is_missing_is_not_taken_for_a_database(
    read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def agree_on_tls() -> None:
            with listener.accept()[0] as server:
                server.recv(8)
                server.sendall(b"S")
                server.recv(1)

        threading.Thread(target=agree_on_tls, daemon=True).start()
        url = f"postgresql://reader@127.0.0.1:{listener.getsockname()[1]}/x?sslmode=verify-full"
        monkeypatch.setenv("PLANT_DB", f"{url}&sslrootcert=/no/where.pem")
        _refused(read, "a file of certificates cannot be read", table="readings")


def test_a_large_result_is_read_in_batches(known: Postgres, read: Any) -> None:
    sql = "SELECT i, repeat('x', 100) AS s FROM generate_series(1, :n) i ORDER BY i DESC"
    raw = read(query=sql, parameters={"n": 400_000})
    table = pq.ParquetFile(raw.path)
    assert table.metadata.num_rows == raw.rows == 400_000
    assert table.read_row_group(0, ["c0"])["c0"][0].as_py() == 1


def _sqlite(path: Path, *statements: str, rows: list[tuple[Any, ...]] | None = None) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        if rows:
            places = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO t VALUES ({places})", rows)
        connection.commit()


def test_the_order_of_rows_in_sqlite_does_not_matter(tmp_path: Path, read: Any) -> None:
    rows = [(i, f"n{i % 3}", i / 3) for i in range(3000)]
    digests = set()
    for name in ("a?.db", "b#.db"):
        random.Random(name).shuffle(rows)
        _sqlite(tmp_path / name, "CREATE TABLE t (id INTEGER, name TEXT, x REAL)", rows=rows)
        raw = read(f"sqlite:{name}", table="t")
        digests.add(raw.sha256)
        assert _rows(raw)[2999] == {"id": 2999, "name": "n2", "x": 2999 / 3}
    assert len(digests) == 1


def test_sqlite_columns_have_the_types_of_their_values(tmp_path: Path, read: Any) -> None:
    late = [(None, i, i, None) for i in range(5000)]
    _sqlite(
        tmp_path / "d.db",
        "CREATE TABLE t (a INTEGER, b INTEGER, c INTEGER, d INTEGER)",
        rows=[*late, ("x", 0.5, "7 m", None)],
    )
    raw = read("sqlite:d.db", table="t", key=("b",))
    assert [kind for _, kind in raw.columns.values()] == ["VARCHAR", "DOUBLE", "VARCHAR", "VARCHAR"]
    stored = _rows(raw)
    assert {"a": "x", "b": 0.5, "c": "7 m", "d": None} in stored
    assert stored[-1] == {"a": None, "b": 4999.0, "c": "4999", "d": None}
    assert read("sqlite:d.db", query="SELECT a FROM t WHERE 1 = 0").rows == 0


def test_empty_texts_among_numbers_of_sqlite_are_no_values(tmp_path: Path, read: Any) -> None:
    rows = [(1, 0.5, "", "x"), ("", " \t", " ", ""), (3, 2, "", None)]
    _sqlite(tmp_path / "d.db", "CREATE TABLE t (a REAL, b, c, d)", rows=rows)
    raw = read("sqlite:d.db", query="SELECT CAST(a AS int) AS i, * FROM t WHERE a <> ''")
    assert _rows(raw)[0] == {"i": 1, "a": 1.0, "b": 0.5, "c": "", "d": "x"}
    raw = read("sqlite:d.db", table="t")
    assert [kind for _, kind in raw.columns.values()] == ["DOUBLE", "DOUBLE", "VARCHAR", "VARCHAR"]
    assert {"a": None, "b": None, "c": " ", "d": ""} in _rows(raw)


def test_no_digit_of_a_whole_number_among_fractions_is_lost(tmp_path: Path, read: Any) -> None:
    long = (1 << 53) + 1
    rows = [(long, 1, long), (0.1, 0.5, 2)]
    _sqlite(tmp_path / "d.db", "CREATE TABLE t (a, b, c)", rows=rows)
    raw = read("sqlite:d.db", table="t")
    assert [kind for _, kind in raw.columns.values()] == ["VARCHAR", "DOUBLE", "BIGINT"]
    assert _rows(raw) == [{"a": "0.1", "b": 0.5, "c": 2}, {"a": str(long), "b": 1.0, "c": long}]


@pytest.mark.parametrize(
    ("before", "between", "after"),
    [(1, "x", None), (1, 0.5, None), (0.5, "x", None), (0.5, (1 << 53) + 1, None), ("x", 7, "7")],
)
def test_a_value_written_while_a_table_is_read_is_never_another_value(
    before: object,
    between: object,
    after: object,
    tmp_path: Path,
    read: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _sqlite(tmp_path / "d.db", "CREATE TABLE t (a)", rows=[(before,)])
    look_at_types = sqlite._columns

    def _write_afterwards(*args: Any) -> Any:
        found = look_at_types(*args)
        _sqlite(tmp_path / "d.db", rows=[(between,)])
        return found

    monkeypatch.setattr(sqlite, "_columns", _write_afterwards)
    if after is None:
        says = "^sqlite:d.db/t: broke off \\(it was written while it was read\\); run again"
        _refused(read, says, "sqlite:d.db", table="t")
    else:
        assert _rows(read("sqlite:d.db", table="t")) == [{"a": after}, {"a": before}]


def test_text_that_is_not_utf_8_is_refused(tmp_path: Path, read: Any) -> None:
    _sqlite(tmp_path / "d.db", "CREATE TABLE t (a)", "INSERT INTO t SELECT CAST(x'ff41' AS text)")
    says = r"^sqlite:d\.db/t: column 'a' holds text that is not UTF-8; correct it in the database"
    _refused(read, says, "sqlite:d.db", table="t")


def test_a_secret_may_name_sqlite(
    tmp_path: Path, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sqlite(tmp_path / "d.db", "CREATE TABLE t (a)", rows=[(1,)])
    for url in (f"sqlite:///{tmp_path}/d.db", "sqlite:///d.db"):
        monkeypatch.setenv("PLANT_DB", url)
        assert read(table="t").rows == 1


def test_wrong_queries_to_sqlite_are_refused(tmp_path: Path, read: Any) -> None:
    _sqlite(tmp_path / "d.db", "CREATE TABLE t (a, b)", rows=[(1, b"\0")])
    (tmp_path / "text.db").write_text("no database" * 100)
    _refused(read, r"no table 'tt'; did you mean 't'", "sqlite:d.db", table="tt")
    _refused(read, r"'b' holds binary values.*hex\(", "sqlite:d.db", table="t")
    _refused(read, "no such column: z", "sqlite:d.db", query="SELECT z FROM t")
    _refused(read, r"no file matches.*d\.db", "sqlite:nope.db", table="t")
    _refused(read, "not a database", "sqlite:text.db", table="t")
    _refused(read, "write one SELECT", "sqlite:d.db", query="DELETE FROM t")
    _refused(read, "write one SELECT", "sqlite:d.db", query="ATTACH 'x' AS y")
    forever = "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT i FROM r"
    _refused(read, "did not finish within 1 s", "sqlite:d.db", query=forever, timeout=1)
    loads = "SELECT load_extension('x') AS x"
    _refused(read, "not authorized", "sqlite:d.db", query=loads)
    raw = read("sqlite:d.db", query="SELECT a FROM t WHERE a = :a", parameters={"a": 1})
    assert _rows(raw) == [{"a": 1}]
