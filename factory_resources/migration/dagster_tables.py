"""The rows of Dagster's tables, as they are in SQLite's files and in the tables of PostgreSQL."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from factory_resources.errors import StorageError
from factory_resources.migration.catalog import StoredTable, run
from factory_resources.migration.copying import Rows, postgres_rows, sqlite_rows
from factory_resources.migration.event_ids import (
    EventIds,
    EventLog,
    Rename,
    rename_in_cursor,
    rename_in_event,
    rename_in_record,
)
from factory_resources.migration.values import Row

EVENTS = "event_logs"

_IDS = {
    "asset_event_tags": {"event_id"},
    "asset_check_executions": {"evaluation_event_storage_id", "materialization_event_storage_id"},
}
"""The columns of each table that have the id of an event."""

_TEXTS: dict[str, dict[str, Callable[[str, Rename], str]]] = {
    "asset_keys": {
        "last_materialization": rename_in_record,
        "cached_status_data": rename_in_cursor,
    },
    "asset_check_executions": {"evaluation_event": rename_in_event},
    "instigators": {"instigator_body": rename_in_cursor},
    "jobs": {"job_body": rename_in_cursor},
    "job_ticks": {"tick_body": rename_in_cursor},
    "bulk_actions": {"body": rename_in_cursor},
    "kvs": {"value": rename_in_cursor},
}
"""The columns whose text contains the id of an event, and how it is renamed there."""

_RETRIES = "EVENT_LOG_CONSUMER_CURSOR-"
"""What the names of the cursors begin with from which on runs are retried; they are bare ids."""


class FileEvents:
    """The events of a home in SQLite, with the ids that they get in one table.

    Args:
        folder: `dagster/history/runs` of the home.
        table: PostgreSQL's.
        index: the open `index.db`.
    """

    def __init__(self, folder: Path, table: StoredTable, index: sqlite3.Connection) -> None:
        self._id, self._event = table.place("id"), table.place("event")
        [(last,)] = index.execute(f"SELECT coalesce(max(id), 0) FROM {EVENTS}")
        self._ids = EventIds(EventLog(folder, [column.name for column in table.columns]), last)

    def rows(self) -> Iterator[Rows]:
        """Yield the rows of the table, those of a run at a time."""
        for events, ids in self._ids.events():
            yield [self._row(event, new) for event, new in zip(events, ids, strict=True)]

    def _row(self, event: Row, new: int) -> Row:
        row = [*event]
        row[self._id] = new
        row[self._event] = rename_in_event(row[self._event], self.renamed)
        return row

    def renamed(self, number: int) -> int:
        """Return the id of an event for its id in the index."""
        return self._ids.renamed(number)


def renamed_rows(
    connection: sqlite3.Connection, table: StoredTable, rename: Rename
) -> Iterator[Rows]:
    """Yield the rows of another table of SQLite, with the new ids of events."""
    ids, texts = _IDS.get(table.name, set()), _TEXTS.get(table.name, {})
    places = [
        (place, None if column.name in ids else texts[column.name])
        for place, column in enumerate(table.columns)
        if column.name in ids or column.name in texts
    ]

    def renamed(row: Row) -> Row:
        changed = [*row]
        for place, in_text in places:
            if (value := changed[place]) is not None:
                changed[place] = in_text(value, rename) if in_text else rename(value)
        return changed

    for rows in sqlite_rows(connection, table):
        if table.name == "kvs":
            rows = [_renamed_retries(table, row, rename) for row in rows]
        yield [*map(renamed, rows)] if places else rows


def _renamed_retries(table: StoredTable, row: Row, rename: Rename) -> Row:
    """Return an entry of `kvs`, with the new id if it is a cursor of the retries of runs."""
    key, value = table.place("key"), table.place("value")
    if not str(row[key]).startswith(_RETRIES):
        return row
    changed = [*row]
    changed[value] = str(rename(int(row[value])))
    return changed


def events_of_runs(connection: Any, table: StoredTable) -> Iterator[tuple[str, list[Row]]]:
    """Yield the events of each run from PostgreSQL, in their order."""
    batches = postgres_rows(connection, table, "ORDER BY run_id, id")
    rows = chain.from_iterable(batches)
    for run_id, events in groupby(rows, key=itemgetter(table.place("run_id"))):
        yield run_id, [*events]


def require_whole(connections: Sequence[sqlite3.Connection], connection: Any, schema: str) -> None:
    """Check that SQLite's tables have every change of data that PostgreSQL's have.

    Dagster names the changes in the table `secondary_indexes`, and reads tables according to them.

    Raises:
        StorageError: they lack one.
    """
    query = "SELECT name FROM {} WHERE migration_completed IS NOT NULL"
    done: set[str] = set()
    for file in connections:
        done.update(name for (name,) in file.execute(query.format("secondary_indexes")))
    for (name,) in run(connection, query.format(f'"{schema}".secondary_indexes')):
        if name not in done:
            raise StorageError(
                f"Dagster's tables lack a change of data ({name})",
                remedy='bring them up to date: eval "$(factory env)" && dagster instance migrate, '
                "then dagster instance reindex",
            )
