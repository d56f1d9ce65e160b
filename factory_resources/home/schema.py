"""The forms of the factory's own tables: older ones are brought up to date, newer ones refused.

A store declares its migrations in the order of their releases; one that was released never changes.
A new database takes the same way as an old one. The number of the form is in the database: SQLite's
`user_version`, on PostgreSQL the table `schema_version` of the store's schema.

What is in the tables belongs in the stores; how databases get to another engine, in `migration`.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal

from factory_resources.errors import StorageError

Engine = Literal["sqlite", "postgresql"]

VERSION_TABLE = "schema_version"

_TYPES: dict[Engine, dict[str, str]] = {
    "sqlite": {"integer": "INTEGER", "bytes": "BLOB", "compact": " WITHOUT ROWID"},
    "postgresql": {"integer": "bigint", "bytes": "bytea", "compact": ""},
}

_MAKE_VERSION = f"""\
CREATE TABLE IF NOT EXISTS {VERSION_TABLE}
  (id integer PRIMARY KEY DEFAULT 1 CHECK (id = 1), number integer NOT NULL);
INSERT INTO {VERSION_TABLE} (number) VALUES ({{number}})
  ON CONFLICT (id) DO UPDATE SET number = excluded.number;
"""


@dataclass(frozen=True)
class SchemaMigration:
    """What makes a form of the tables from the one before; the first, from nothing."""

    script: str
    """SQL. `{integer}`, `{bytes}` and `{compact}` become what the engine calls them."""
    adds: tuple[str, str] | None = None
    """A table and a column that are new in it: by them the form is recognised in databases that
    were made before forms had numbers. Later migrations need none."""
    sqlite: str = ""
    """More SQL, on this engine alone."""
    postgresql: str = ""

    def sql(self, engine: Engine) -> str:
        """Return what is run on an engine."""
        more = self.sqlite if engine == "sqlite" else self.postgresql
        return self.script.format(**_TYPES[engine]) + more


@dataclass(frozen=True)
class Schema:
    """The tables of one store."""

    name: str
    """The schema of PostgreSQL in which they are."""
    what: str
    """The store, for messages."""
    migrations: tuple[SchemaMigration, ...]
    """The n-th makes form n."""

    @property
    def newest(self) -> int:
        """The form that the code knows."""
        return len(self.migrations)


@dataclass(frozen=True)
class VersionedTables:
    """The tables of a store on one connection, which is in autocommit mode."""

    schema: Schema
    engine: Engine
    run: Callable[[str], list[Any]]
    """Runs a statement and returns its rows; on PostgreSQL, it looks up names in the schema."""
    where: str
    """The file, or what names the server, for messages."""

    def update(self, *, create: bool) -> None:
        """Bring the tables to the newest form, in one transaction.

        Args:
            create: whether an empty database gets tables; otherwise it stays empty.

        Raises:
            StorageError: they have a form that a newer factory made.
        """
        if self._require_known(self._stored()) == self.schema.newest:
            return
        with self._alone():
            # Another process may have been faster.
            form = self._require_known(self._form())
            if form or create:
                self._migrate(form)

    def create(self) -> None:
        """Make the tables in an empty database, within the transaction of the caller."""
        self._migrate(0)

    def is_newest(self) -> bool:
        """Whether the tables have the newest form, with its number or without.

        Raises:
            StorageError: they have a form that a newer factory made.
        """
        number = self._require_known(self._stored())
        return (number or self._recognised()) == self.schema.newest

    def _require_known(self, number: int) -> int:
        newest = self.schema.newest
        if number > newest:
            raise StorageError(
                f"{self.schema.what} has format {number}, but this version of the factory reads "
                f"formats up to {newest}",
                where=self.where,
                remedy="use the newer version that wrote it",
            )
        return number

    def _stored(self) -> int:
        """Return the number in the database, in one message to a server; 0 if it has none."""
        if self.engine == "sqlite":
            return int(self.run("PRAGMA user_version")[0][0])
        from psycopg2.errors import UndefinedTable

        try:
            return int(self.run(f"SELECT number FROM {VERSION_TABLE}")[0][0])
        except UndefinedTable:
            return 0

    def _form(self) -> int:
        """Return the form within a transaction, which no failed statement may end."""
        numbered = self.engine == "sqlite" or self._has(VERSION_TABLE, "number")
        return (self._stored() if numbered else 0) or self._recognised()

    def _recognised(self) -> int:
        """Return the form of a database without a number; 0 if it is empty."""
        return sum(1 for _ in takewhile(self._is_there, self.schema.migrations))

    def _is_there(self, migration: SchemaMigration) -> bool:
        return migration.adds is not None and self._has(*migration.adds)

    def _has(self, table: str, column: str) -> bool:
        if self.engine == "sqlite":
            query = f"SELECT 1 FROM pragma_table_info('{table}') WHERE name = '{column}'"
        else:
            query = (
                "SELECT 1 FROM information_schema.columns "
                f"WHERE table_schema = '{self.schema.name}' "
                f"AND table_name = '{table}' AND column_name = '{column}'"
            )
        return bool(self.run(query))

    def _migrate(self, form: int) -> None:
        if self.engine == "postgresql" and not form:
            self.run(f"CREATE SCHEMA IF NOT EXISTS {self.schema.name}")
        for migration in self.schema.migrations[form:]:
            script = migration.sql(self.engine)
            for statement in _statements(script) if self.engine == "sqlite" else [script]:
                self.run(statement)
        number = self.schema.newest
        if self.engine == "sqlite":
            self.run(f"PRAGMA user_version = {number}")
        else:
            self.run(_MAKE_VERSION.format(number=number))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self.engine == "sqlite":
            self.run("BEGIN IMMEDIATE")
        else:
            name = self.schema.name
            self.run(f"BEGIN; SELECT pg_advisory_xact_lock(hashtext('{name}'))")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            # The transaction may have ended already, with the connection or a full disk.
            with suppress(Exception):
                self.run("ROLLBACK")
            raise


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of SQLite one by one: run together, they would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
