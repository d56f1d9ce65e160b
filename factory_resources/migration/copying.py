"""Copy the rows of one table, and read them again to compare.

Everything is streamed: a table of any size needs the memory of some thousand rows.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from factory_resources.errors import StorageError
from factory_resources.migration.catalog import StoredTable, run
from factory_resources.migration.values import Row, RowDigest, ValueTypeError, from_sqlite, line_of

_BATCH = 5_000

_SENT = 1 << 20
"""Bytes that are sent to PostgreSQL at a time."""


def sqlite_rows(connection: sqlite3.Connection, table: StoredTable) -> Iterator[Row]:
    """Yield the rows of a table of SQLite.

    Raises:
        StorageError: a value is not of the type of its column.
    """
    convert = from_sqlite(table.kinds)
    cursor = connection.execute(f'SELECT {table.names} FROM "{table.name}"')
    with _told(table):
        while rows := cursor.fetchmany(_BATCH):
            yield from map(convert, rows)


def postgres_rows(connection: Any, table: StoredTable, rest: str = "") -> Iterator[Row]:
    """Yield the rows of a table of PostgreSQL, within a transaction.

    Args:
        rest: what follows the name of the table, such as `ORDER BY id`.
    """
    selected = ", ".join(column.selected for column in table.columns)
    has_bytes = "bytes" in table.kinds
    # A named cursor keeps the rows on the server.
    with connection.cursor("migration") as cursor:
        cursor.execute(f"SELECT {selected} FROM {table.address} {rest}")
        while rows := cursor.fetchmany(_BATCH):
            yield from map(_plain, rows) if has_bytes else rows


def fill_postgres(connection: Any, table: StoredTable, rows: Iterable[Row]) -> RowDigest:
    """Add rows to a table of PostgreSQL, and return what was sent.

    Raises:
        StorageError: PostgreSQL cannot store a value.
    """
    import psycopg2

    digest = RowDigest()
    stream = _Stream(_counted(rows, digest))
    with connection.cursor() as cursor, _told(table):
        try:
            cursor.copy_expert(
                f"COPY {table.address} ({table.names}) FROM STDIN", stream, size=_SENT
            )
        except psycopg2.Error as error:
            if stream.fault:
                raise stream.fault from error
            if isinstance(error, psycopg2.DataError | psycopg2.IntegrityError):
                raise ValueTypeError(str(error).splitlines()[0]) from error
            raise
    return digest


def fill_sqlite(
    connection: sqlite3.Connection, table: StoredTable, rows: Iterable[Row], digest: RowDigest
) -> None:
    """Add rows to a table of SQLite, within a transaction, and count them in `digest`."""
    marks = ", ".join("?" * len(table.columns))

    def counted() -> Iterator[Row]:
        for row in rows:
            digest.add(line_of(row))
            yield row

    with _told(table):
        connection.executemany(
            f'INSERT INTO "{table.name}" ({table.names}) VALUES ({marks})', counted()
        )


def digest_of(rows: Iterable[Row]) -> RowDigest:
    digest = RowDigest()
    for row in rows:
        digest.add(line_of(row))
    return digest


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


def _counted(rows: Iterable[Row], digest: RowDigest) -> Iterator[bytes]:
    for row in rows:
        line = line_of(row)
        digest.add(line)
        yield line


def _plain(row: Row) -> Row:
    return [bytes(value) if isinstance(value, memoryview) else value for value in row]


@contextmanager
def _told(table: StoredTable) -> Iterator[None]:
    """Say of which table a value is that cannot be carried over."""
    try:
        yield
    except ValueTypeError as fault:
        raise StorageError(
            f"table {table.name}: {fault}", remedy="correct it in the source, then run again"
        ) from fault


class _Stream:
    """Lines as a file that psycopg2 reads."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines, self._rest = lines, b""
        self.fault: Exception | None = None
        """What was raised while the lines were made; psycopg2 tells only its text."""

    def read(self, size: int) -> bytes:
        pieces, length = [self._rest], len(self._rest)
        try:
            while length < size:
                piece = next(self._lines, b"")
                if not piece:
                    break
                pieces.append(piece)
                length += len(piece)
        except Exception as error:
            self.fault = error
            raise
        content = b"".join(pieces)
        self._rest = content[size:]
        return content[:size]
