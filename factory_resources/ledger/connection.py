"""Connections to the ledger's tables: SQLite in the home, or the PostgreSQL of the factory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any
from urllib.parse import quote

from factory_resources.errors import StorageError
from factory_resources.home.database import (
    plain_row,
    recorded_engine,
    require_no_migration,
    require_recorded_engine,
    schema_address,
    schema_words,
    server_address,
)
from factory_resources.home.home import Home
from factory_resources.home.schema import Schema, SchemaMigration, VersionedTables

_WAIT = 60
"""Seconds to wait for another process that writes."""

_CACHE_KB = 64_000
"""What a connection that writes may keep in memory. A batch of entries changes as many pages of
the index of subjects, and those that do not fit are written twice."""

_BATCH, _PAGE = 10_000, 1_000

_TABLES = """\
CREATE TABLE entry (number {integer} PRIMARY KEY, body {bytes} NOT NULL);
CREATE TABLE subtree (level {integer}, number {integer}, hash {bytes} NOT NULL,
  PRIMARY KEY (level, number)){compact};
CREATE TABLE subject (digest {integer}, entry {integer}, PRIMARY KEY (digest, entry)){compact};
CREATE TABLE head (id {integer} PRIMARY KEY CHECK (id = 1), size {integer} NOT NULL,
  frontier {bytes} NOT NULL, checkpoint TEXT NOT NULL);
CREATE TABLE checkpoint (size {integer} PRIMARY KEY, note TEXT NOT NULL);
"""

_SQLITE_GUARDS = """\
CREATE TRIGGER entry_update BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER entry_delete BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'append-only'); END;
"""

_POSTGRES_GUARDS = """\
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
  AS $$ BEGIN RAISE EXCEPTION 'append-only'; END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entry
  FOR EACH STATEMENT EXECUTE FUNCTION refuse();
"""

SCHEMA = Schema(
    "ledger",
    "the ledger",
    (SchemaMigration(_TABLES, ("entry", "number"), _SQLITE_GUARDS, _POSTGRES_GUARDS),),
)


class Connection:
    """A connection to either engine; parameters are written `?`.

    Args:
        raw: the connection of the driver, in autocommit mode.
        postgres: whether it is one to PostgreSQL.
        home: that of the ledger; None while it is begun.
    """

    def __init__(self, raw: Any, *, postgres: bool, home: Home | None = None) -> None:
        self._raw, self._home = raw, home
        self.postgres = postgres
        self._waiting: list[tuple[str, Sequence[Any]]] = []

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run one statement and return its rows."""
        cursor = self._raw.cursor()
        try:
            if self.postgres:
                cursor.execute(statement.replace("?", "%s"), values)
                return [plain_row(row) for row in cursor.fetchall()] if cursor.description else []
            return list(cursor.execute(statement, values).fetchall())
        finally:
            cursor.close()

    def insert(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows with a value for every column, within `writing`."""
        if not rows:
            return
        marks = ", ".join("?" * len(rows[0]))
        if not self.postgres:
            self._raw.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
            return
        for start in range(0, len(rows), _PAGE):
            page = rows[start : start + _PAGE]
            values = ", ".join([f"({marks})"] * len(page))
            self.write(f"INSERT INTO {table} VALUES {values}", [*chain.from_iterable(page)])

    @contextmanager
    def writing(self, query: str) -> Iterator[list[Any]]:
        """Run the block in one durable transaction; other writers wait until it has ended.

        Yields:
            The rows that the query finds at its beginning.

        Raises:
            StorageError: the databases of the home are elsewhere by now.
        """
        try:
            if self.postgres:
                # One message to the server instead of three.
                rows = self.execute(f"BEGIN; LOCK TABLE head IN EXCLUSIVE MODE; {query}")
            else:
                self.execute("BEGIN IMMEDIATE")
                rows = self.execute(query)
            if self._home:
                # A migration may have ended while this connection waited.
                require_recorded_engine(self._home)
            yield rows
            self.write("COMMIT")
            self._send()
        except BaseException:
            self._roll_back()
            raise

    @contextmanager
    def writers_blocked(self) -> Iterator[None]:
        """Keep everybody from writing in the block, which writes nothing itself."""
        lock = "BEGIN; LOCK TABLE head IN EXCLUSIVE MODE" if self.postgres else "BEGIN IMMEDIATE"
        try:
            self.execute(lock)
            yield
        finally:
            self._roll_back()

    def write(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Run a statement that returns nothing, within `writing`."""
        if self.postgres:
            # They are sent together with the COMMIT: the time of an append is that of messages.
            self._waiting.append((statement, values))
        else:
            self.execute(statement, values)

    def _send(self) -> None:
        statements, self._waiting = self._waiting, []
        if statements:
            text = "; ".join(statement for statement, _ in statements)
            self.execute(text, [*chain.from_iterable(values for _, values in statements)])

    def _roll_back(self) -> None:
        self._waiting.clear()
        if not self.postgres:
            if self._raw.in_transaction:
                self.execute("ROLLBACK")
            return
        # Not `rollback` of the driver, which in autocommit mode knows of no transaction. If the
        # server is gone, its transaction is gone too.
        with suppress(Exception):
            self.execute("ROLLBACK")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Read in the block what was there when it began."""
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ" if self.postgres else "BEGIN")
        try:
            yield
        finally:
            self._roll_back()

    def batches(self, statement: str) -> Iterator[list[Any]]:
        """Yield the rows of a SELECT, ten thousand at a time; within `frozen`."""
        # A named cursor of PostgreSQL keeps the rows on the server.
        cursor = self._raw.cursor("batches", withhold=True) if self.postgres else self._raw.cursor()
        cursor.execute(statement)
        while rows := cursor.fetchmany(_BATCH):
            yield [plain_row(row) for row in rows]
        cursor.close()

    def copy_file(self, other: "Connection") -> None:
        """Copy a SQLite database page by page."""
        self._raw.backup(other._raw)

    def create_tables(self) -> None:
        """Create the tables of an empty ledger."""
        if self.postgres:
            # The transaction of `begin_postgres` goes on.
            self.tables().create()
        else:
            self.tables().update(create=True)

    def tables(self, file: str = "") -> VersionedTables:
        """Return the tables with their form.

        Args:
            file: of SQLite, for messages.
        """
        if self.postgres:
            return VersionedTables(SCHEMA, "postgresql", self.execute, schema_words(SCHEMA.name))
        return VersionedTables(SCHEMA, "sqlite", self.execute, file)

    def close(self) -> None:
        self._raw.close()


def in_postgres() -> bool:
    return server_address() is not None


@contextmanager
def connected(home: Home, *, write: bool = False) -> Iterator[Connection]:
    """Yield a connection to the ledger of a home, which exists; an older one is brought up to date.

    Raises:
        StorageError: a newer factory has made its form.
    """
    if in_postgres():
        connection = _up_to_date(_postgres(home))
    else:
        connection = _writing(home) if write else _reading(home)
    try:
        yield connection
    finally:
        connection.close()


def _up_to_date(connection: Connection, file: str = "") -> Connection:
    try:
        connection.tables(file).update(create=False)
    except BaseException:
        connection.close()
        raise
    return connection


def _writing(home: Home) -> Connection:
    return _up_to_date(_sqlite(home, write=True), str(home.ledger))


def _reading(home: Home) -> Connection:
    """Open a file that is only read; what must be written to it first, another connection does."""
    import sqlite3

    connection = _sqlite(home, write=False)
    try:
        if connection.tables(str(home.ledger)).is_newest():
            return connection
    except sqlite3.OperationalError as error:
        # A process was killed while it committed, and only a writer can undo what it had begun.
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
            connection.close()
            raise
    except BaseException:
        connection.close()
        raise
    connection.close()
    _writing(home).close()
    return _sqlite(home, write=False)


def _sqlite(home: Home, *, write: bool) -> Connection:
    import sqlite3

    address = f"file:{quote(str(home.ledger))}?mode={'rw' if write else 'ro'}"
    raw = sqlite3.connect(address, uri=True, timeout=_WAIT, isolation_level=None)
    if write:
        raw.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        # By default the folder is not synchronised when the journal was removed: after a power cut
        # it may be there again, and undo what was committed.
        raw.execute("PRAGMA synchronous = EXTRA")
    return Connection(raw, postgres=False, home=home)


def new_sqlite(file: str) -> Connection:
    """Return a connection to a new, empty database."""
    import sqlite3

    raw = sqlite3.connect(file, timeout=_WAIT, isolation_level=None)
    return Connection(raw, postgres=False)


def _postgres(home: Home | None = None) -> Connection:
    import psycopg2

    raw = psycopg2.connect(schema_address(server_address() or "", SCHEMA.name))
    raw.autocommit = True
    return Connection(raw, postgres=True, home=home)


def has_tables(home: Home) -> bool:
    """Whether the ledger of a home was begun.

    Raises:
        StorageError: a migration of another home to the database is not finished.
    """
    if not in_postgres():
        return home.ledger.exists()
    if recorded_engine(home) is None:
        require_no_migration(server_address() or "", own=home.path)
    connection = _postgres()
    try:
        return bool(connection.execute("SELECT to_regclass('head') IS NOT NULL")[0][0])
    finally:
        connection.close()


@contextmanager
def begin_postgres() -> Iterator[Connection]:
    """Yield a connection that is alone in making the tables, in one transaction.

    Raises:
        StorageError: another machine has begun the ledger meanwhile.
    """
    connection = _postgres()
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('ledger'))")
        if connection.execute("SELECT to_regclass('ledger.head') IS NOT NULL")[0][0]:
            raise StorageError(
                "another machine has just begun the ledger",
                where="FACTORY_DATABASE_URL",
                remedy="copy secrets/ledger_key from its home, then run again",
            )
        yield connection
    finally:
        connection.close()


def create_empty(home: Home) -> None:
    """Create the tables without an entry, for the rows of another ledger."""
    if in_postgres():
        with begin_postgres() as connection:
            connection.create_tables()
            connection.execute("COMMIT")
        return
    connection = new_sqlite(str(home.ledger))
    try:
        connection.create_tables()
    finally:
        connection.close()
