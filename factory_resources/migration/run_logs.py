"""SQLite files with the events of one run each, written as one block and read again."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from factory_resources.instance import create_run_log
from factory_resources.migration.catalog import StoredTable
from factory_resources.migration.copying import Rows, fill_sqlite, sqlite_rows
from factory_resources.migration.event_ids import opened
from factory_resources.migration.values import Row

_JOURNAL = slice(18, 20)
"""The bytes of a SQLite file that say how it is written: 1 with a rollback journal, 2 with a
write-ahead log."""


class RunLogs:
    """The files that Dagster makes for events.

    Args:
        folder: that of an instance, which has no events yet.
        table: their table in PostgreSQL.
    """

    def __init__(self, folder: Path, table: StoredTable) -> None:
        file = create_run_log(folder, "empty")
        self._folder, self._table = file.parent, table
        self._runs: list[str] = []
        with closing(opened(file)) as connection:
            content = bytearray(connection.serialize())
        file.unlink()
        self._journal = content[_JOURNAL]
        # In memory there is no write-ahead log.
        content[_JOURNAL] = b"\x01\x01"
        self._empty = bytes(content)

    def write(self, run_id: str, rows: Sequence[Row]) -> None:
        """Write the file of a run, which is not synced."""
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.deserialize(self._empty)
            fill_sqlite(connection, self._table, rows)
            connection.commit()
            content = bytearray(connection.serialize())
        content[_JOURNAL] = self._journal
        self._path(run_id).write_bytes(content)
        self._runs.append(run_id)

    def rows(self) -> Iterator[Rows]:
        """Yield the events of the files that were written."""
        for run_id in self._runs:
            with closing(opened(self._path(run_id))) as connection:
                yield from sqlite_rows(connection, self._table)

    def _path(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.db"
