"""The rows of a home's databases, whatever is in them: SQLite files, or schemas of PostgreSQL.

Of PostgreSQL only rows can be read. What it keeps of former ones, in its files and in its own
write-ahead log, no statement shows; `VACUUM FULL` writes its tables anew without them.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from factory_resources.erasure.cells import CellSearch
from factory_resources.erasure.search_terms import SearchTerms
from factory_resources.errors import StorageError
from factory_resources.home.database import DATABASE_VARIABLE, schema_words, server_address
from factory_resources.sql.engine import identifier

SQLITE = b"SQLite format 3\0"

_LOGGED = 18
"""The byte of a SQLite file that says whether it has a write-ahead log."""

_ROWS = 500
"""Rows that are read at once."""


@contextmanager
def sqlite_to_read(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a SQLite file to read it.

    Raises:
        StorageError: it is damaged or locked.
    """
    # Else SQLite would make two files beside each database with a write-ahead log, and leave them.
    mode = "ro&immutable=1" if _is_at_rest(path) else "ro"
    address = f"file:{quote(str(path))}?mode={mode}"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=60)) as connection:
            connection.text_factory = lambda content: content.decode("utf-8", "surrogateescape")
            yield connection
    except sqlite3.Error as error:
        raise StorageError(
            "the database cannot be read, so it cannot be searched",
            where=str(path),
            remedy="stop what uses it, or restore it from a backup",
        ) from error


def _is_at_rest(path: Path) -> bool:
    """Whether a database has a write-ahead log with nothing in it."""
    log = path.with_name(f"{path.name}-wal")
    with path.open("rb") as file:
        is_logged = file.read(_LOGGED + 1)[_LOGGED:] == b"\x02"
    return is_logged and not (log.exists() and log.stat().st_size)


def sqlite_places(path: Path, terms: SearchTerms) -> "Counter[tuple[str, str]]":
    """Count the cells of a SQLite file that have a value, by table and column, and by form.

    Raises:
        StorageError: it is damaged or locked.
    """
    search = CellSearch(terms)
    with sqlite_to_read(path) as connection:
        for table in sqlite_tables(connection):
            cursor = connection.execute(f"SELECT * FROM {identifier(table)}")
            names = [f"{table}.{described[0]}" for described in cursor.description]
            while rows := cursor.fetchmany(_ROWS):
                search.add(names, rows)
    return search.found


def sqlite_tables(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the tables of a SQLite file."""
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 ORDER BY name"
    )
    return [name for (name,) in rows]


def has_free_space(path: Path) -> bool:
    """Whether a SQLite file has pages that belong to no table."""
    with sqlite_to_read(path) as connection:
        return bool(connection.execute("PRAGMA freelist_count").fetchone()[0])


def server_places(terms: SearchTerms) -> Iterator[tuple[str, str, str, int]]:
    """Yield schema, table and column, form and count of what the databases on PostgreSQL have.

    There are none if the databases are files.

    Raises:
        StorageError: the server cannot be used.
    """
    address = server_address()
    if address is None:
        return
    from factory_resources.migration.server import connected

    with connected(address, DATABASE_VARIABLE) as connection:
        for schema in server_schemas(connection):
            search = CellSearch(terms)
            _search_schema(connection, schema, search)
            for (column, form), count in sorted(search.found.items()):
                yield schema_words(schema), column, form, count


def server_schemas(connection: Any) -> list[str]:
    """Return the schemas in which the factory has tables."""
    from factory_resources.migration.server import default_schema
    from factory_resources.migration.stores import stores

    return [store.schema or default_schema(connection) for store in stores()]


def _search_schema(connection: Any, schema: str, search: CellSearch) -> None:
    from factory_resources.migration.catalog import tables_of
    from factory_resources.migration.copying import postgres_rows

    with in_transaction(connection):
        for table in tables_of(connection, schema):
            names = [f"{table.name}.{column.name}" for column in table.columns]
            for rows in postgres_rows(connection, table):
                search.add(names, rows)


@contextmanager
def in_transaction(connection: Any) -> Iterator[None]:
    """Do what the block does on PostgreSQL, which reads with a cursor, as a whole or not at all."""
    connection.autocommit = False
    try:
        with connection:
            yield
    finally:
        connection.autocommit = True
