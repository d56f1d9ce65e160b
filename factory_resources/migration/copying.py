"""Copy the rows of one table, and read them again to compare.

Everything is streamed, in batches of rows: a table of any size needs the memory of one.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from factory_resources.errors import StorageError
from factory_resources.migration.catalog import StoredTable, run
from factory_resources.migration.values import (
    Row,
    RowDigest,
    ValueTypeError,
    line_encoder,
    number_decoder,
)

Rows = Sequence[Row]
"""A batch."""

_BATCH = 2_000


def sqlite_rows(connection: sqlite3.Connection, table: StoredTable) -> Iterator[Rows]:
    """Yield the rows of a table of SQLite as they are stored."""
    cursor = connection.execute(f'SELECT {table.names} FROM "{table.name}"')
    while rows := cursor.fetchmany(_BATCH):
        yield rows


def postgres_rows(connection: Any, table: StoredTable, rest: str = "") -> Iterator[Rows]:
    """Yield the rows of a table of PostgreSQL, within a transaction.

    Args:
        rest: what follows the name of the table, such as `ORDER BY id`.
    """
    # A named cursor keeps the rows on the server.
    with connection.cursor("migration") as cursor:
        cursor.execute(f"SELECT {table.selected} FROM {table.address} {rest}")
        while rows := cursor.fetchmany(_BATCH):
            yield rows


def fill_postgres(connection: Any, table: StoredTable, batches: Iterable[Rows]) -> RowDigest:
    """Add rows to a table of PostgreSQL, and return what was sent.

    Raises:
        StorageError: PostgreSQL cannot store a value.
    """
    import psycopg2

    stream = _Lines(table, batches)
    with connection.cursor() as cursor, named_table(table):
        try:
            cursor.copy_expert(f"COPY {table.address} ({table.names}) FROM STDIN", stream)
        except psycopg2.Error as error:
            if stream.fault:
                raise stream.fault from error
            if isinstance(error, psycopg2.DataError | psycopg2.IntegrityError):
                raise ValueTypeError(str(error).splitlines()[0]) from error
            raise
    return stream.digest


def fill_sqlite(connection: sqlite3.Connection, table: StoredTable, rows: Rows) -> None:
    """Add rows to a table of SQLite, within a transaction."""
    marks = ", ".join("?" * len(table.columns))
    connection.executemany(f'INSERT INTO "{table.name}" ({table.names}) VALUES ({marks})', rows)


def digest_of(table: StoredTable, batches: Iterable[Rows]) -> RowDigest:
    """Return the digest of rows of either engine.

    Raises:
        StorageError: a value is not of the type of its column.
    """
    digest, encode = RowDigest(), line_encoder(table.kinds)
    with named_table(table):
        for rows in batches:
            for line in encode(rows):
                digest.add(line)
    return digest


def postgres_digest(connection: Any, table: StoredTable) -> RowDigest:
    """Return the digest of a table of PostgreSQL, from the lines that it writes itself."""
    stored = _Stored(table)
    with connection.cursor() as cursor:
        cursor.copy_expert(f"COPY (SELECT {table.selected} FROM {table.address}) TO STDOUT", stored)
    return stored.digest


def require_equal(table: StoredTable, sent: RowDigest, stored: RowDigest) -> None:
    """Check that all that was sent is stored.

    Raises:
        StorageError: something differs.
    """
    if sent != stored:
        raise StorageError(
            f"table {table.schema}.{table.name} has {stored.count:,} rows with the digest "
            f"{stored.hexdigest[:8]}, but {sent.count:,} with {sent.hexdigest[:8]} were sent",
            remedy="nothing was changed in the source; run factory migrate again",
        )


def move_counters(connection: Any, table: StoredTable) -> None:
    """Let PostgreSQL number new rows after those that are there."""
    columns = run(
        connection,
        "SELECT column_name FROM information_schema.columns WHERE table_schema = %s "
        "AND table_name = %s AND (is_identity = 'YES' OR column_default LIKE 'nextval%%')",
        [table.schema, table.name],
    )
    for (name,) in columns:
        run(
            connection,
            f'SELECT setval(pg_get_serial_sequence(%s, %s), coalesce(max("{name}"), 0) + 1, '
            f"false) FROM {table.address}",
            [table.address, name],
        )


@contextmanager
def named_table(table: StoredTable) -> Iterator[None]:
    """Name the table with a value that cannot be carried over."""
    try:
        yield
    except ValueTypeError as fault:
        raise StorageError(
            f"table {table.name}: {fault}", remedy="correct it in the source, then run again"
        ) from fault


class _Lines:
    """Rows as a file that psycopg2 reads, a batch at a time."""

    def __init__(self, table: StoredTable, batches: Iterable[Rows]) -> None:
        self._batches, self._encode = iter(batches), line_encoder(table.kinds)
        self.digest = RowDigest()
        self.fault: Exception | None = None
        """What was raised while the lines were made; psycopg2 tells only its text."""

    def read(self, _: int) -> bytes:
        try:
            lines: list[bytes] = []
            while not lines:
                if (rows := next(self._batches, None)) is None:
                    return b""
                lines = self._encode(rows)
        except Exception as error:
            self.fault = error
            raise
        for line in lines:
            self.digest.add(line)
        return b"".join(lines)


class _Stored:
    """A file to which psycopg2 writes the lines of a table."""

    def __init__(self, table: StoredTable) -> None:
        self._decode = number_decoder(table.kinds)
        self.digest = RowDigest()

    def write(self, line: bytes) -> None:
        self.digest.add(self._decode(line))
