"""From PostgreSQL back to SQLite files in the home.

The files are made and compared in scratch, and moved in when all are complete. SQLite files that
the home still has, from before its databases were on PostgreSQL, are set aside and not removed.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from factory_resources.durability import sync_disk
from factory_resources.home.database import DATABASE_VARIABLE, alchemy_address, chosen_database
from factory_resources.home.home import Home, storage_errors
from factory_resources.instance import mirrored_events, record_database
from factory_resources.migration import dagster_tables
from factory_resources.migration.catalog import StoredTable, run, tables_of
from factory_resources.migration.copying import (
    Rows,
    digest_of,
    fill_sqlite,
    postgres_rows,
    require_equal,
    sqlite_rows,
)
from factory_resources.migration.report import (
    CarriedTable,
    Migration,
    check_ledger,
    file_with,
    filled_files,
    ledger_paused,
    require_same_version,
    require_space,
)
from factory_resources.migration.run_logs import RunLogs
from factory_resources.migration.server import connected, default_schema, finish
from factory_resources.migration.stores import Store, bring_up_to_date, stores
from factory_resources.migration.to_server import versions_of
from factory_resources.migration.values import RowDigest
from factory_resources.progress import Progress

_BESIDE = ("", "-journal", "-wal", "-shm")
"""What belongs to a SQLite file, by what follows its name."""

_ROOM = 2
"""Times the size of the database on the server: what the files may take, journals included."""


def require_source(home: Home, address: str) -> None:
    """Check that a home can be carried back to files, before anything is stopped for it.

    Raises:
        StorageError: the server cannot be used, or the disk has no room for the files.
    """
    with connected(address, DATABASE_VARIABLE) as connection:
        _require_room(home, connection)


def _require_room(home: Home, connection: Any) -> None:
    [(size,)] = run(connection, "SELECT pg_database_size(current_database())")
    require_space(home, _ROOM * size)


def to_files(home: Home, address: str, progress: Progress) -> Migration:
    """Carry the databases of a home from PostgreSQL to files of the home.

    The caller sees to it that nothing else uses the home.

    Args:
        address: as PostgreSQL's client library reads it.

    Raises:
        StorageError: the server or the disk cannot be used. The home is as it was.
    """
    with connected(address, DATABASE_VARIABLE) as connection, home.scratch() as scratch:
        # A kill right after the way there leaves the mark, though nothing is unfinished.
        finish(connection)
        _require_room(home, connection)
        made = Home(scratch / "home")
        made.path.mkdir()
        progress("making the tables")
        present = make_tables(home, made, connection, address)
        with chosen_database(alchemy_address(address)), ledger_paused(home):
            begin_reading(connection)
            carried = carry_all(made, present, connection, progress)
            with chosen_database(None):
                ledger = check_ledger(made)
                fold(made.path)
                with storage_errors(home.path):
                    sync_disk(made.path)
                aside = _install(home, made)
                record_database(home)
    return Migration(carried, ledger, aside=aside)


def make_tables(home: Home, made: Home, connection: Any, address: str) -> list[Store]:
    """Make the files of every store that is on the server, without rows; return the stores.

    Args:
        made: the folder in which they are made.

    Raises:
        StorageError: a newer factory has used one of them, or they cannot be written.
    """
    present = [store for store in stores() if store.is_on_server(connection)]
    with chosen_database(alchemy_address(address)):
        bring_up_to_date(present, home)
    with chosen_database(None):
        for store in present:
            store.create(made)
    return present


def begin_reading(connection: Any) -> None:
    """Read from now on what is on the server at this moment."""
    connection.autocommit = False
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    run(connection, "SELECT 1 FROM pg_class LIMIT 1")


def carry_all(
    made: Home, present: Sequence[Store], connection: Any, progress: Progress
) -> list[CarriedTable]:
    """Copy and compare every row, then read no longer.

    Raises:
        StorageError: a table has another form, or a copy differs.
    """
    carried: list[CarriedTable] = []
    for store in present:
        progress(f"copying {store.name}")
        carried += _carry(made, store, connection)
    connection.rollback()
    return carried


def _carry(made: Home, store: Store, connection: Any) -> Iterator[CarriedTable]:
    found = tables_of(connection, store.schema or default_schema(connection))
    tables = [table for table in found if table.name not in store.kept]
    with filled_files(store.paths(made)) as files:
        require_same_version(files, store, found, versions_of(connection, store))
        for table in tables:
            file = file_with(files, store, table)
            if file.execute(f'SELECT 1 FROM "{table.name}" LIMIT 1').fetchone():
                # A library has filled its new tables.
                file.execute(f'DELETE FROM "{table.name}"')
            if store.schema is None and table.name == dagster_tables.EVENTS:
                sent = _carry_events(made, table, connection, file)
            else:
                rows = postgres_rows(connection, table)
                sent = digest_of(table, _filling(file, table, rows))
                require_equal(table, sent, digest_of(table, sqlite_rows(file, table)))
            yield CarriedTable(store.name, table.name, sent)


def _filling(
    file: sqlite3.Connection, table: StoredTable, batches: Iterable[Rows]
) -> Iterator[Rows]:
    """Store the rows that go through."""
    for rows in batches:
        fill_sqlite(file, table, rows)
        yield rows


def _carry_events(
    made: Home, table: StoredTable, connection: Any, index: sqlite3.Connection
) -> RowDigest:
    """Write the events into a file a run, and copies of some into the index."""
    logs = RunLogs(made.dagster, table)
    place, kinds = table.place("dagster_event_type"), mirrored_events()

    def written() -> Iterator[Rows]:
        for run_id, rows in dagster_tables.events_of_runs(connection, table):
            fill_sqlite(index, table, [row for row in rows if row[place] in kinds])
            logs.write(run_id, rows)
            yield rows

    sent = digest_of(table, written())
    require_equal(table, sent, digest_of(table, logs.rows()))
    return sent


def _install(home: Home, made: Home) -> Path | None:
    """Move the files in; return where those went that they replace, None if there were none."""
    aside = home.path / f"replaced-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    for name in _names():
        for suffix in _BESIDE:
            old = home.path / f"{name}{suffix}"
            if old.exists():
                target = aside / f"{name}{suffix}"
                with storage_errors(target):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(old, target)
        new = made.path / name
        if new.exists():
            with storage_errors(new):
                (home.path / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(new, home.path / name)
    return aside if aside.exists() else None


def _names() -> Iterator[str]:
    """Yield what is moved, below the home: Dagster's folders as a whole, and the other files."""
    for store in stores():
        if store.schema is None:
            yield from ("dagster/history", "dagster/schedules")
        else:
            yield from store.files


def fold(folder: Path) -> None:
    """Bring what is in write-ahead logs into the databases, which are then one file each."""
    for log in folder.rglob("*.db-wal"):
        with closing(sqlite3.connect(log.with_name(log.name.removesuffix("-wal")))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
