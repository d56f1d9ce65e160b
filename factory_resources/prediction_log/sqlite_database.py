"""A database in the home, in SQLite.

It has a write-ahead log, unlike the ledger: a look-up does not wait while rows are stored.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from factory_resources.home.database import is_complete, is_disk_fault, is_still
from factory_resources.home.schema import Schema, VersionedTables
from factory_resources.prediction_log.database import Database, placeholders

if TYPE_CHECKING:
    import pyarrow

_WAIT = 60
"""Seconds to wait for another process that writes."""

_PAUSE = 0.01
"""Seconds between two attempts to give a new file its write-ahead log."""

_PAGE = 8192
"""Bytes. Rows lie in the tree of their ids; with pages of 4096, a quarter of one is too little for
the longer ones, which then take pages of their own."""

_BATCH = 10_000

_ARROW_ROWS, _ARROW_BYTES = 16_384, 64 * 1024 * 1024
"""Of a batch of Arrow, at most."""


class SqliteDatabase(Database):
    """The database in a file, which is made if it is missing, or brought up to date."""

    def __init__(self, file: Path, schema: Schema) -> None:
        self._file = file
        try:
            self._raw = self._opened(schema)
        except sqlite3.OperationalError as error:
            if not self._is_unwritable(error):
                raise
            # The index of a write-ahead log needs room; a file whose log is empty is read as it is.
            self._raw = sqlite3.connect(f"file:{quote(str(file))}?immutable=1", uri=True)

    def _opened(self, schema: Schema) -> sqlite3.Connection:
        raw = sqlite3.connect(self._file, timeout=_WAIT, isolation_level=None)

        def run(statement: str) -> list[Any]:
            return raw.execute(statement).fetchall()

        try:
            run(f"PRAGMA page_size = {_PAGE}")
            _keep_log(raw)
            run("PRAGMA synchronous = FULL")
            VersionedTables(schema, "sqlite", run, str(self._file)).update(create=True)
        except BaseException:
            raw.close()
            raise
        return raw

    def _is_unwritable(self, error: sqlite3.OperationalError) -> bool:
        """Whether the disk cannot be written, and all that was stored is in the file itself."""
        if not self._file.exists() or not self._file.stat().st_size:
            return False
        # Of a folder that is closed, SQLite says that it cannot open what is there.
        return is_still(self._file) or (is_disk_fault(error) and is_complete(self._file))

    def close(self) -> None:
        self._raw.close()

    def run(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._raw.execute(statement, values).fetchall()

    def batches(self, statement: str, values: Sequence[Any]) -> Iterator[list[Any]]:
        cursor = self._raw.execute(statement, values)
        while rows := cursor.fetchmany(_BATCH):
            yield rows

    def insert(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        if rows:
            values = placeholders(rows[0])
            self._raw.executemany(f"INSERT INTO {table} VALUES ({values})", rows)

    @contextmanager
    def arrow(self, statement: str, longest: int) -> "Iterator[pyarrow.RecordBatchReader]":
        from adbc_driver_sqlite import dbapi

        # The driver counts rows alone, and the records of large requests are long.
        rows = min(_ARROW_ROWS, 1 + _ARROW_BYTES // longest)
        address = f"file:{quote(str(self._file))}?mode=ro"
        with dbapi.connect(address) as connection, connection.cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(rows)})
            cursor.execute(statement)
            yield cursor.fetch_record_batch()

    def scrub(self, table: str) -> None:
        # The file is written anew by way of its log, which then replaces it page by page.
        self.run("VACUUM")
        [(busy, *_)] = self.run("PRAGMA wal_checkpoint(TRUNCATE)")
        if busy:
            raise sqlite3.OperationalError("database is locked")

    def literal(self, content: bytes) -> str:
        return f"x'{content.hex()}'"

    @contextmanager
    def writing(self) -> Iterator[None]:
        self.run("BEGIN IMMEDIATE")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            if self._raw.in_transaction:
                self.run("ROLLBACK")
            raise


def _keep_log(connection: sqlite3.Connection) -> None:
    """Give the file a write-ahead log, unless it has one.

    Of two processes that do so at once, SQLite refuses one without the wait that it was asked for,
    as each would wait for the other.
    """
    end = time.monotonic() + _WAIT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(_PAUSE)
