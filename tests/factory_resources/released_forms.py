"""The tables of the factory's databases as released factories made them, before forms had numbers.

What is written here stays as it is: it is what is on the disks of those who used these factories.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factory_resources.home.database import schema_address, server_address

_NAMES = {
    "sqlite": {
        "missing": "IF NOT EXISTS",
        "integer": "INTEGER",
        "bytes": "BLOB",
        "compact": " WITHOUT ROWID",
    },
    "postgres": {
        "missing": "IF NOT EXISTS",
        "integer": "bigint",
        "bytes": "bytea",
        "compact": "",
    },
}


@dataclass(frozen=True)
class ReleasedForm:
    """The tables of one store."""

    schema: str
    file: str
    tables: str
    sqlite: str = ""
    postgres: str = ""

    def put_back(self, home: Path) -> dict[str, list[Any]]:
        """Replace the database by one of this form with its rows; return the rows of its tables."""
        with self._connected(home) as raw:
            cursor = raw.cursor()
            rows = {name: _rows(cursor, f"SELECT * FROM {name}") for name in self._names(cursor)}
        self._remove(home)
        with self._connected(home) as raw:
            cursor = raw.cursor()
            self._make(cursor)
            kept = {}
            for name in self._names(cursor):
                cursor.execute(f"SELECT * FROM {name} LIMIT 0")
                columns = [column[0] for column in cursor.description]
                mark = "?" if server_address() is None else "%s"
                for row in rows[name]:
                    cursor.execute(
                        f"INSERT INTO {name} VALUES ({', '.join([mark] * len(columns))})",
                        [row[column] for column in columns],
                    )
                kept[name] = [tuple(row[column] for column in columns) for row in rows[name]]
        return kept

    def read(self, home: Path, statement: str) -> list[Any]:
        """Return the rows of a statement, sorted."""
        with self._connected(home) as raw:
            cursor = raw.cursor()
            cursor.execute(statement)
            return sorted(tuple(map(_plain, row)) for row in cursor.fetchall())

    def number(self, home: Path) -> int:
        """Return the number of the form that the database has now."""
        number = "PRAGMA user_version" if server_address() is None else _VERSION
        return int(self.read(home, number)[0][0])

    def _make(self, cursor: Any) -> None:
        engine = "sqlite" if server_address() is None else "postgres"
        script = self.tables.format(**_NAMES[engine])
        if engine == "sqlite":
            cursor.executescript(script + self.sqlite)
        else:
            cursor.execute(f"CREATE SCHEMA {self.schema}")
            cursor.execute(script + self.postgres)

    def _remove(self, home: Path) -> None:
        if server_address() is None:
            for path in home.glob(f"{self.file}*"):
                path.unlink()
            return
        with self._connected(home) as raw:
            raw.cursor().execute(f"DROP SCHEMA {self.schema} CASCADE")

    def _names(self, cursor: Any) -> list[str]:
        if server_address() is None:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        else:
            cursor.execute(f"SELECT tablename FROM pg_tables WHERE schemaname = '{self.schema}'")
        return [name for (name,) in cursor.fetchall() if name != "schema_version"]

    @contextmanager
    def _connected(self, home: Path) -> Iterator[Any]:
        if (server := server_address()) is None:
            with closing(sqlite3.connect(home / self.file, isolation_level=None)) as raw:
                yield raw
            return
        import psycopg2

        with closing(psycopg2.connect(schema_address(server, self.schema))) as raw:
            raw.autocommit = True
            yield raw


def _rows(cursor: Any, query: str) -> list[dict[str, Any]]:
    cursor.execute(query)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, map(_plain, row), strict=True)) for row in cursor.fetchall()]


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


_VERSION = "SELECT number FROM schema_version"

LEDGER = ReleasedForm(
    "ledger",
    "ledger.db",
    """\
CREATE TABLE entry (number {integer} PRIMARY KEY, body {bytes} NOT NULL);
CREATE TABLE subtree (level {integer}, number {integer}, hash {bytes} NOT NULL,
  PRIMARY KEY (level, number)){compact};
CREATE TABLE subject (digest {integer}, entry {integer}, PRIMARY KEY (digest, entry)){compact};
CREATE TABLE head (id {integer} PRIMARY KEY CHECK (id = 1), size {integer} NOT NULL,
  frontier {bytes} NOT NULL, checkpoint TEXT NOT NULL);
CREATE TABLE checkpoint (size {integer} PRIMARY KEY, note TEXT NOT NULL);
""",
    """\
CREATE TRIGGER entry_update BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER entry_delete BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'append-only'); END;
""",
    """\
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
  AS $$ BEGIN RAISE EXCEPTION 'append-only'; END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entry
  FOR EACH STATEMENT EXECUTE FUNCTION refuse();
""",
)
"""From the first ledger on (6f32d99)."""

_ANSWERS = """\
CREATE TABLE {missing} leaf_tile (block {integer}, tile {integer}, hashes {bytes} NOT NULL,
  PRIMARY KEY (block, tile)){compact};
CREATE TABLE {missing} prediction (id {bytes} PRIMARY KEY, block {integer} NOT NULL,
  leaf {integer} NOT NULL, pipeline TEXT NOT NULL, version {integer} NOT NULL,
  rows {integer} NOT NULL, record {bytes} NOT NULL){compact};
"""

ANSWERS_OF_UNKNOWN_LENGTH = ReleasedForm(
    "predictions",
    "predictions.db",
    f"""\
CREATE TABLE {{missing}} block (number {{integer}} PRIMARY KEY, identity TEXT UNIQUE NOT NULL,
  first {{bytes}} NOT NULL, last {{bytes}} NOT NULL, count {{integer}} NOT NULL);
{_ANSWERS}""",
)
"""From the first prediction log (5345df4; on PostgreSQL, ffe4196) to 654ab73."""

ANSWERS = ReleasedForm(
    "predictions",
    "predictions.db",
    f"""\
CREATE TABLE {{missing}} block (number {{integer}} PRIMARY KEY, identity TEXT UNIQUE NOT NULL,
  first {{bytes}} NOT NULL, last {{bytes}} NOT NULL, count {{integer}} NOT NULL,
  longest {{integer}} NOT NULL);
{_ANSWERS}""",
)
"""From 3ea441d on."""

OUTCOMES = ReleasedForm(
    "outcomes",
    "outcomes.db",
    """\
CREATE TABLE {missing} outcome (number {integer} PRIMARY KEY, id {bytes} NOT NULL,
  pipeline TEXT NOT NULL, value TEXT NOT NULL, observed {integer} NOT NULL,
  recorded {integer} NOT NULL, source TEXT NOT NULL, caller TEXT NOT NULL);
CREATE INDEX {missing} outcome_of_row ON outcome (pipeline, id, number);
CREATE TABLE {missing} outcome_batch (number {integer} PRIMARY KEY, identity TEXT UNIQUE NOT NULL,
  first {integer} NOT NULL, count {integer} NOT NULL, entered {integer} NOT NULL);
CREATE TABLE {missing} outcome_tile (batch {integer}, tile {integer}, hashes {bytes} NOT NULL,
  PRIMARY KEY (batch, tile)){compact};
CREATE TABLE {missing} feedback_count (pipeline TEXT, day TEXT, kind TEXT,
  number {integer} NOT NULL, PRIMARY KEY (pipeline, day, kind)){compact};
""",
)
"""From the first outcomes on (8a76e3b)."""

DIGESTS = ReleasedForm(
    "",
    "digests.db",
    "CREATE TABLE IF NOT EXISTS digests (name BLOB PRIMARY KEY, signature TEXT NOT NULL, "
    "sha256 TEXT NOT NULL) WITHOUT ROWID;",
)
"""From the first digest cache on (d09500f)."""
