"""From the SQLite files of a home to PostgreSQL.

All rows are copied and compared in one transaction. The home is changed last, by one file, which
says where its databases are from then on.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg2

from factory_resources.home.database import alchemy_address, chosen_database, set_option
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.instance import record_database
from factory_resources.migration import dagster_tables
from factory_resources.migration.catalog import StoredTable, run, tables_of
from factory_resources.migration.copying import (
    Rows,
    fill_postgres,
    move_counters,
    postgres_digest,
    require_equal,
    sqlite_rows,
)
from factory_resources.migration.report import (
    CarriedTable,
    Migration,
    check_ledger,
    file_with,
    ledger_paused,
    opened_files,
    require_same_version,
)
from factory_resources.migration.server import (
    begin,
    connected,
    default_schema,
    finish,
    require_free,
)
from factory_resources.migration.stores import Store, bring_up_to_date, stores
from factory_resources.progress import Progress


def require_target(home: Home, address: str) -> None:
    """Check that a home can be carried to a database, before anything is stopped for it.

    Raises:
        StorageError: the server cannot be used, or the database is not empty.
    """
    with connected(address) as connection:
        require_free(connection, home, _schemas())


def to_server(home: Home, address: str, progress: Progress) -> Migration:
    """Carry the databases of a home to an empty database of PostgreSQL.

    The caller sees to it that nothing else uses the home.

    Args:
        address: as PostgreSQL's client library reads it.

    Raises:
        StorageError: the server cannot be used, the database is not empty, or a value cannot be
            stored there. The home is as it was, but for tables of an older form, which are brought
            up to date first.
    """
    present = [store for store in stores() if store.is_in_files(home)]
    with chosen_database(None):
        bring_up_to_date(present, home)
    with ledger_paused(home), connected(address) as connection:
        removed = begin(connection, home, _schemas(), _dagster_names(home))
        progress("making the tables")
        with (
            # The commit of the rows makes the tables durable, too.
            chosen_database(alchemy_address(set_option(address, "synchronous_commit=off"))),
            storage_faults(home),
            home.scratch() as scratch,
        ):
            for store in present:
                store.create(Home(scratch))
        carried = [*_carry_all(home, present, connection, progress)]
        run(connection, "ANALYZE")
        with chosen_database(alchemy_address(address)):
            ledger = check_ledger(home)
            record_database(home)
        finish(connection)
    return Migration(carried, ledger, removed=removed)


def _schemas() -> list[str]:
    return [store.schema for store in stores() if store.schema]


def _dagster_names(home: Home) -> list[str]:
    """Return the names of Dagster's tables."""
    [dagster] = [store for store in stores() if store.schema is None]
    names: set[str] = set()
    with opened_files([path for path in dagster.paths(home) if path.exists()]) as files:
        for file in files:
            found = file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            names.update(name for (name,) in found)
    return sorted(names)


def _carry_all(
    home: Home, present: Sequence[Store], connection: Any, progress: Progress
) -> Iterator[CarriedTable]:
    connection.autocommit = False
    try:
        for store in present:
            progress(f"copying {store.name}")
            yield from _carry(home, store, connection)
        connection.commit()
    except psycopg2.Error:
        # The transaction ends with the connection.
        raise
    except BaseException:
        connection.rollback()
        raise
    connection.autocommit = True


def _carry(home: Home, store: Store, connection: Any) -> Iterator[CarriedTable]:
    schema = store.schema or default_schema(connection)
    found = tables_of(connection, schema)
    tables = [table for table in found if table.name not in store.kept]
    _empty(connection, tables)
    with opened_files(store.paths(home)) as files:
        require_same_version(files, store, found, versions_of(connection, store))
        if store.schema is None:
            dagster_tables.require_whole(files, connection, schema)
        for table, rows in _sources(home, store, tables, files):
            sent = fill_postgres(connection, table, rows)
            require_equal(table, sent, postgres_digest(connection, table))
            move_counters(connection, table)
            yield CarriedTable(store.name, table.name, sent)


def _empty(connection: Any, tables: Sequence[StoredTable]) -> None:
    """Remove the rows with which libraries fill new tables."""
    filled = [
        table.address
        for table in tables
        if run(connection, f"SELECT 1 FROM {table.address} LIMIT 1")
    ]
    if filled:
        run(connection, f"TRUNCATE {', '.join(filled)} CASCADE")


def versions_of(connection: Any, store: Store) -> list[str]:
    """Return the version of a schema, of libraries that number it alike in both engines."""
    if store.schema not in ("mlflow", "tune"):
        return []
    rows = run(connection, f"SELECT version_num FROM {store.schema}.alembic_version")
    return [version for (version,) in rows]


def _sources(
    home: Home, store: Store, tables: Sequence[StoredTable], files: Sequence[sqlite3.Connection]
) -> Iterator[tuple[StoredTable, Iterator[Rows]]]:
    """Yield the tables with their rows in SQLite."""
    if store.schema is not None:
        for table in tables:
            yield table, sqlite_rows(file_with(files, store, table), table)
        return
    [events] = [table for table in tables if table.name == dagster_tables.EVENTS]
    log = dagster_tables.FileEvents(store.paths(home)[0].parent, events, files[0])
    yield events, log.rows()
    for table in tables:
        if table is not events:
            file = file_with(files, store, table)
            yield table, dagster_tables.renamed_rows(file, table, log.renamed)
