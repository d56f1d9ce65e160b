"""Attacks on the sealed engine: no declared expression and no SQL may leak or write data.

A canary text is in files, in the environment and in a Python variable, and a socket listens. No
result may contain the canary, nothing may be written outside of scratch, nothing may connect to the
socket, and neither settings nor extensions may change.
"""

import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factory_resources.errors import ExpressionError
from factory_resources.sql.engine import literal, sealed
from factory_resources.sql.expressions import _require_pure, parse
from tests.random_examples import examples

CANARY = "canary-" + os.urandom(8).hex()

QUICK = settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

ORDINARY = (
    "a", "b * 2", "s", "'x'", "1.5", "NULL", "true", "a > 1", "upper(s)", "coalesce(a, 0)",
    "round(b, 1)", "s LIKE '%x%'", "regexp_matches(s, '^x')", "a IN (1, 2)", "a::VARCHAR",
    "lag(a) OVER (ORDER BY b)", "CASE WHEN a > 1 THEN s END", "[a, b]", "{'k': s}", "length(s)",
    "date_trunc('day', DATE '2024-01-02')", "TRY_CAST(s AS DOUBLE)", "list_sum([a, 1])", '"a"',
)  # fmt: skip

PATHS = (
    "{secret}", "{scratch}/../secret.csv", "{scratch}//..//secret.csv", "file://{secret}",
    "{folder}/*.csv", "{source}/../secret.csv", "/proc/self/root{secret}", "{scratch}/link.csv",
    "{folder}/secret.parquet", "{folder}/secret.json", "{folder}/secret.db", "/proc/self/environ",
    "http://127.0.0.1:{port}/x.csv", "https://127.0.0.1:{port}/x.parquet", "s3://127.0.0.1/x.csv",
    "{folder}/SECRET.csv", "{folder}/secret.csv?x", "~/secret.csv", "hf://datasets/x/y.csv",
)  # fmt: skip

READERS = (
    "read_csv", "read_csv_auto", "read_text", "read_blob", "read_parquet", "parquet_scan", "glob",
    "parquet_metadata", "parquet_schema", "parquet_file_metadata", "parquet_kv_metadata",
    "sniff_csv", "read_json", "read_json_auto", "read_json_objects", "read_ndjson", "query_table",
)  # fmt: skip

STATEMENTS = (
    "COPY (SELECT 1 AS x) TO '{folder}/out.csv'", "COPY (SELECT 1 AS x) TO '{path}'",
    "COPY (SELECT 1 AS x) TO '{folder}/out' (FORMAT parquet, PARTITION_BY x)",
    "EXPORT DATABASE '{folder}/out'", "IMPORT DATABASE '{folder}'", "ATTACH '{path}' AS other",
    "ATTACH '{folder}/new.db'", "INSTALL httpfs", "FORCE INSTALL httpfs FROM community",
    "LOAD httpfs", "LOAD '{path}'", "UPDATE EXTENSIONS", "SET enable_external_access = true",
    "SET allowed_directories = ['/']", "SET allowed_paths = ['{secret}']", "SET threads = 1",
    "SET lock_configuration = false", "RESET lock_configuration", "SET SESSION TimeZone = 'CET'",
    "SET GLOBAL memory_limit = '9GB'", "SET temp_directory = '{folder}/spill'",
    "SET home_directory = '{folder}'", "SET extension_directory = '{folder}'",
    "SET secret_directory = '{folder}'", "PRAGMA threads = 1", "PRAGMA enable_profiling = 'json'",
    "PRAGMA profile_output = '{folder}/profile.json'", "PRAGMA disable_optimizer",
    "PRAGMA enable_verification", "PRAGMA lock_configuration = false", "CALL start_ui()",
    "CALL enable_logging(storage = 'file', storage_config = {{'path': '{folder}/log'}})",
    "CALL enable_profiling(save_location = '{folder}/profile.json')", "CALL disable_logging()",
    "CREATE SECRET x (TYPE s3)", "CREATE PERSISTENT SECRET x (TYPE http, BEARER_TOKEN 'x')",
    "FROM duckdb_secrets()", "SET VARIABLE x = 1", "CHECKPOINT", "FROM duckdb_settings()",
    "SELECT getenv('FACTORY_CANARY')", "SELECT current_setting('allowed_paths')",
    "FROM frame", "FROM '{path}'", "DESCRIBE '{path}'", "SUMMARIZE '{path}'", "VACUUM",
    "SELECT write_log('x')", "SET search_path = 'pg_catalog'", "DROP SCHEMA main CASCADE",
)  # fmt: skip

QUERIES = st.one_of(
    st.sampled_from(STATEMENTS),
    st.builds("FROM {}('{{path}}')".format, st.sampled_from(READERS)),
    st.builds("FROM {}(['{{source}}', '{{path}}'])".format, st.sampled_from(READERS)),
)

WRAPPED = (
    "{0}", "{0}; {1}", "BEGIN; {0}; COMMIT", "EXPLAIN ANALYZE {0}", "PREPARE p AS {0}; EXECUTE p",
    "CREATE VIEW v AS {0}; FROM v", "CREATE MACRO m() AS TABLE {0}; FROM m()", "/* {1} */ {0}",
    "CREATE TABLE t AS {0}; FROM t", "WITH x AS MATERIALIZED ({0}) FROM x", "SUMMARIZE {0}",
    "FROM query($q${0}$q$)", "SELECT * FROM ({0}) UNION ALL FROM ({1})", "-- {1}\n{0}",
    "COPY ({0}) TO '{{scratch}}/o.parquet'; FROM read_parquet('{{scratch}}/o.parquet')",
    "FROM json_execute_serialized_sql(json_serialize_sql($q${0}$q$))", "PIVOT ({0}) ON 1",
    "CREATE OR REPLACE TEMP MACRO abs(x) AS ({0}); {1}",
)  # fmt: skip

COMBINED = (
    "({0})", "{0} + {1}", "{0} || {1}", "concat({0}, {1})", "CASE WHEN {0} THEN {1} END",
    "({0}) -- {1}", "/* {0} */ {1}", "/* /* {0} */ {1}", "{0} /* {1}", "{0}; {1}", "{0}\n;\n{1}",
    "{0}) FROM ({1}", "{0}) FROM read_text('{{path}}') --", "{0}) UNION SELECT ({1}", "{0}, {1}",
    "(SELECT {0})", "(SELECT content FROM read_text('{{path}}'))", "EXISTS (FROM '{{path}}')",
    "a IN (FROM '{{path}}')", "[x FOR x IN [{0}]]", "list_transform([a], lambda x: {0})",
    "list_transform([a], x -> {0})", "max({0}) OVER ()", "first({0})", "'{0}'", "$${0}$$",
    '"{0}"', "E'\\x27{0}'", "U&'\\0027{0}'", "x'00' || {0}", "({0}).k", "({0})[1]", "*", "t.*",
    "COLUMNS('{0}')", "#1", "$1", "getvariable({0})", "{0} COLLATE nocase", "unnest([{0}])",
    "query({0})", "nextval({0})", "main.{0}", "system.main.{0}", "{0}::JSON", "TRY({0})",
)  # fmt: skip

CALLS = (
    "{0}('{{path}}')", '"{0}"(\'{{path}}\')', "{0} ('{{path}}')", "{0}/**/('{{path}}')",
    "main.{0}('{{path}}')", "{0}(chr(47) || '{{path}}')", "{0}\u00a0('{{path}}')",
    "{0}\u200b('{{path}}')", "{0}\uff08'{{path}}'\uff09", "(FROM {0}('{{path}}'))",
    "'{{path}}'.{0}()", "try({0}('{{path}}'))",
)  # fmt: skip

FUNCTIONS = (*READERS, "getenv", "current_setting", "pg_read_file", "json_execute_serialized_sql")


@dataclass(frozen=True)
class Trap:
    """The folder of files with the canary, and the listening socket."""

    folder: Path
    port: int
    listener: socket.socket

    @property
    def source(self) -> Path:
        return self.folder / "source.parquet"

    @property
    def scratch(self) -> Path:
        return self.folder / "scratch"

    def fill(self, sql: str, path: str) -> str:
        """Return the SQL with real paths and the port in it."""
        places = {
            "{path}": path,
            "{secret}": str(self.folder / "secret.csv"),
            "{folder}": str(self.folder),
            "{source}": str(self.source),
            "{scratch}": str(self.scratch),
            "{port}": str(self.port),
        }
        for name, place in places.items():
            sql = sql.replace(name, place)
        return sql

    def outside(self) -> dict[str, tuple[int, int]]:
        """Return all files outside of scratch, with size and time."""
        files = {}
        for path in self.folder.rglob("*"):
            if self.scratch not in path.parents:
                status = path.lstat()
                files[str(path)] = (status.st_size, status.st_mtime_ns)
        # The scratch folder itself changes with the files spilled to it.
        files.pop(str(self.scratch))
        return files

    def was_connected(self) -> bool:
        """Whether something has connected to the socket since the last call."""
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trap]:
    folder = tmp_path_factory.mktemp("trap")
    (folder / "scratch").mkdir()
    (folder / "scratch" / "link.csv").symlink_to(folder / "secret.csv")
    (folder / "secret.csv").write_text(f"a\n{CANARY}\n")
    (folder / "secret.json").write_text(f'{{"a": "{CANARY}"}}\n')
    with duckdb.connect(str(folder / "secret.db")) as connection:
        connection.execute(f"CREATE TABLE t AS SELECT '{CANARY}' AS a")
        secret = literal(str(folder / "secret.parquet"))
        connection.execute(f"COPY t TO {secret} (FORMAT parquet, KV_METADATA {{k: '{CANARY}'}})")
        source = literal(str(folder / "source.parquet"))
        rows = "VALUES (1, 0.5, 'x'), (2, NULL, 'y'), (NULL, 2.5, NULL)"
        connection.execute(f"COPY (FROM ({rows}) t(a, b, s)) TO {source} (FORMAT parquet)")
    before = {name: os.environ.get(name) for name in ("HOME", "FACTORY_CANARY")}
    os.environ.update(HOME=str(folder), FACTORY_CANARY=CANARY)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        listener.setblocking(False)
        yield Trap(folder, listener.getsockname()[1], listener)
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@contextmanager
def _watched(trap: Trap) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a sealed engine, and check afterwards that it changed nothing but scratch."""
    before = trap.outside()
    with (
        tempfile.TemporaryDirectory(dir=trap.scratch) as scratch,
        sealed(read=[trap.source], write=Path(scratch), memory="300MB", threads=2) as connection,
    ):
        state = _state(connection)
        timer = threading.Timer(20, connection.interrupt)
        timer.start()
        try:
            yield connection
        finally:
            timer.cancel()
        with suppress(duckdb.Error):
            connection.execute("ROLLBACK")
        assert _state(connection) == state, "a setting or an extension changed"
    assert trap.outside() == before, "something was written outside"
    assert not trap.was_connected(), "something connected to the socket"


def _state(connection: duckdb.DuckDBPyConnection) -> list[Any]:
    """Return settings and the number of built-in functions: an extension adds some of both."""
    # A changed search path is harmless: no schema has anything to protect.
    values = "SELECT name, value FROM duckdb_settings() WHERE name NOT IN ('schema', 'search_path')"
    functions = "SELECT count(*) FROM duckdb_functions() WHERE internal"
    return [connection.execute(query).fetchall() for query in (values, functions)]


def _results(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """Return the results of the statements, in order, up to and with the first error."""
    frame = duckdb.sql(f"SELECT '{CANARY}' AS a").to_arrow_table()
    assert frame.num_rows == 1
    output = ""
    try:
        for statement in connection.extract_statements(sql):
            output += repr(connection.execute(statement).fetchall())
    except duckdb.Error as error:
        output += str(error)
    return output


def _declared(expression: str, source: Path) -> tuple[str, str]:
    """Return the queries that the stage `clean` runs for a derived column, and for a rule."""
    table = f"FROM read_parquet({literal(str(source))})"
    rule = f"SELECT count(*) {table} WHERE NOT coalesce(({expression}\n), true)"
    return f"SELECT *, ({expression}\n) AS x {table}", rule


def _shaped(shape: str, one: str, two: str) -> str:
    filled = shape.replace("{0}", one).replace("{1}", two)
    return filled.replace("{{", "{").replace("}}", "}")


def _mutated(sql: str, at: int, sign: str) -> str:
    at = at % (len(sql) + 1)
    return sql[:at] + sign + sql[at:]


SIGNS = st.sampled_from(["", "", "'", '"', ";", "--", "/*", "*/", ")", "(", "\0", "\u200b", "\n"])

LEAVES = st.one_of(
    st.sampled_from(ORDINARY),
    st.builds(_shaped, st.sampled_from(CALLS), st.sampled_from(FUNCTIONS), st.just("")),
    QUERIES,
)

SHAPED = st.recursive(
    LEAVES,
    lambda inner: st.builds(_shaped, st.sampled_from(COMBINED), inner, inner),
    max_leaves=6,
)

EXPRESSIONS = st.builds(_mutated, SHAPED, st.integers(0, 500), SIGNS)

SCRIPTS = st.builds(
    _mutated,
    st.builds(_shaped, st.sampled_from(WRAPPED), QUERIES, QUERIES),
    st.integers(0, 500),
    SIGNS,
)


@QUICK
@given(expression=EXPRESSIONS, path=st.sampled_from(PATHS))
def test_no_declared_expression_gets_out(expression: str, path: str, trap: Trap) -> None:
    sql = trap.fill(expression, trap.fill(path, ""))
    try:
        parse(sql, "p/clean: derive.x")
    except ExpressionError:
        return
    with _watched(trap) as connection:
        for query in _declared(sql, trap.source):
            assert CANARY not in _results(connection, query)


@QUICK
@given(script=SCRIPTS, path=st.sampled_from(PATHS))
def test_no_sql_script_gets_out(script: str, path: str, trap: Trap) -> None:
    with _watched(trap) as connection:
        assert CANARY not in _results(connection, trap.fill(script, trap.fill(path, "")))


@pytest.mark.parametrize("statement", STATEMENTS)
def test_no_statement_gets_out(statement: str, trap: Trap) -> None:
    with _watched(trap) as connection:
        secret = str(trap.folder / "secret.csv")
        assert CANARY not in _results(connection, trap.fill(statement, secret))


def test_no_allowed_function_reads_a_file(trap: Trap) -> None:
    """Each function of the engine gets a path among up to three arguments."""
    path = literal(str(trap.folder / "secret.csv"))
    passed = 0
    with _watched(trap) as connection:
        for name in _names(connection, "scalar", "macro", "aggregate"):
            try:
                # The check of functions in `parse`, which as a whole takes much longer.
                _require_pure(name, False, "here")
            except ExpressionError:
                continue
            passed += 1
            for arguments in (path, f"{path}, 'a'", f"'a', {path}", f"{path}, 'a', 'b'"):
                query, _ = _declared(f'"{name}"({arguments})', trap.source)
                assert CANARY not in _results(connection, query), name
    assert passed > 300


def test_no_table_function_reads_a_file(trap: Trap) -> None:
    with _watched(trap) as connection:
        for name in _names(connection, "table", "table_macro", "pragma"):
            for path in ("secret.csv", "secret.json", "secret.parquet", "secret.db"):
                place = literal(str(trap.folder / path))
                assert CANARY not in _results(connection, f'FROM "{name}"({place})'), name


def _names(connection: duckdb.DuckDBPyConnection, *kinds: str) -> list[str]:
    rows = connection.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() "
        "WHERE list_contains(?, function_type) AND function_name NOT LIKE '%sleep%' "
        "AND regexp_full_match(function_name, '[a-z_0-9]+') ORDER BY 1",
        [list(kinds)],
    ).fetchall()
    return [name for (name,) in rows]


@pytest.mark.parametrize("expression", ORDINARY)
def test_ordinary_expressions_are_allowed(expression: str, trap: Trap) -> None:
    parse(expression, "here")
    with _watched(trap) as connection:
        assert len(connection.execute(_declared(expression, trap.source)[0]).fetchall()) == 3


@pytest.mark.parametrize(
    "reading",
    [
        "FROM read_csv('{secret}')",
        "FROM read_text('{scratch}/../secret.csv')",
        "FROM '{folder}/secret.parquet'",
        "FROM read_blob('{scratch}/link.csv')",
        "FROM read_json('{folder}/secret.json')",
        "FROM parquet_kv_metadata('{folder}/secret.parquet')",
        "SELECT (SELECT content FROM read_text('{secret}'))",
        "ATTACH '{folder}/secret.db' AS other (READ_ONLY); FROM other.t",
        "CREATE MACRO m() AS TABLE FROM read_text('{secret}'); FROM m()",
        "FROM json_execute_serialized_sql(json_serialize_sql('FROM ''{secret}'''))",
        "FROM frame",
    ],
)
def test_an_engine_without_the_seal_does_read_the_canary(reading: str, trap: Trap) -> None:
    frame = duckdb.sql(f"SELECT '{CANARY}' AS a").to_arrow_table()
    assert frame.num_rows == 1
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
        rows = connection.execute(trap.fill(reading, "")).fetchall()
    assert CANARY in repr(rows)


def test_the_checks_notice_a_file_a_setting_and_a_connection(trap: Trap) -> None:
    with duckdb.connect() as connection:
        state, before = _state(connection), trap.outside()
        connection.execute("SET threads = 1")
        assert _state(connection) != state
        out = trap.folder / "out.csv"
        connection.execute(f"COPY (SELECT 1) TO {literal(str(out))}")
        assert trap.outside() != before
        out.unlink()
    assert not trap.was_connected()
    socket.create_connection(("127.0.0.1", trap.port)).close()
    assert trap.was_connected()
