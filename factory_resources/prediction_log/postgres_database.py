"""A database on the PostgreSQL of the factory, in a schema of its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING, Any

from factory_resources.home.database import plain_row, schema_address, schema_words
from factory_resources.home.schema import Schema, VersionedTables
from factory_resources.prediction_log.database import Database, placeholders

if TYPE_CHECKING:
    import pyarrow

_BATCH, _PAGE = 10_000, 1_000


class PostgresDatabase(Database):
    """The tables of a schema on a server, which are made or brought up to date.

    Args:
        address: as PostgreSQL's client library reads it.
        schema: the tables, and the name of PostgreSQL's schema.
        locked: the table that only one writer has at a time.
    """

    def __init__(self, address: str, schema: Schema, locked: str) -> None:
        self._server, self._locked = address, locked
        self._raw = _connect(address, schema.name)
        try:
            where = schema_words(schema.name)
            VersionedTables(schema, "postgresql", self.run, where).update(create=True)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._raw.close()

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._raw.cursor() as cursor:
            cursor.execute(statement.replace("?", "%s"), values)
            return [*map(plain_row, cursor.fetchall())] if cursor.description else []

    def batches(self, statement: str, values: Sequence[Any]) -> Iterator[list[Any]]:
        # A named cursor keeps the rows on the server.
        with self._raw.cursor("batches", withhold=True) as cursor:
            cursor.execute(statement.replace("?", "%s"), values)
            while rows := cursor.fetchmany(_BATCH):
                yield [*map(plain_row, rows)]

    def insert(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        for start in range(0, len(rows), _PAGE):
            page = rows[start : start + _PAGE]
            values = ", ".join([f"({placeholders(page[0])})"] * len(page))
            self.run(f"INSERT INTO {table} VALUES {values}", [*chain.from_iterable(page)])

    @contextmanager
    def arrow(self, statement: str, longest: int) -> "Iterator[pyarrow.RecordBatchReader]":
        from adbc_driver_postgresql import dbapi

        with dbapi.connect(self._server) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            yield cursor.fetch_record_batch()

    def scrub(self, table: str) -> None:
        # The statistics of a table have samples of its values.
        self.run(f"VACUUM (FULL, ANALYZE) {table}")
        self.run("VACUUM FULL pg_catalog.pg_statistic")

    def literal(self, content: bytes) -> str:
        return f"'\\x{content.hex()}'::bytea"

    @contextmanager
    def writing(self) -> Iterator[None]:
        try:
            self.run(f"BEGIN; LOCK TABLE {self._locked} IN EXCLUSIVE MODE")
            yield
            self.run("COMMIT")
        except BaseException:
            # Not `rollback` of the driver, which in autocommit mode knows of no transaction. If the
            # server is gone, its transaction is gone too.
            with suppress(Exception):
                self.run("ROLLBACK")
            raise


def has_postgres_table(address: str, schema: str, table: str) -> bool:
    """Whether the tables of a schema were made, of which this is one."""
    connection = _connect(address, schema)
    try:
        return _has_table(connection, table)
    finally:
        connection.close()


def _connect(address: str, schema: str) -> Any:
    import psycopg2

    connection = psycopg2.connect(schema_address(address, schema))
    connection.autocommit = True
    return connection


def _has_table(connection: Any, table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [table])
        return bool(cursor.fetchone()[0])
