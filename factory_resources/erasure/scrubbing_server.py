"""Replace values in the rows of Dagster, MLflow and searches on PostgreSQL.

All tables with text are then written anew (`VACUUM FULL`) and their statistics are taken again,
since both have former values. The server's own write-ahead log has them until it is reused; its
backups and replicas are somebody else's.
"""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from factory_resources.erasure.databases import in_transaction
from factory_resources.erasure.redaction import Redaction
from factory_resources.erasure.search_terms import SearchTerms
from factory_resources.errors import StorageError
from factory_resources.home.database import DATABASE_VARIABLE, schema_words, server_address

if TYPE_CHECKING:
    from factory_resources.migration.catalog import StoredTable

_ROWS = 500
"""Rows that are read at once."""

_LOCK_SECONDS = 60
"""Seconds to wait for another process that uses a table."""

_TEXT = frozenset({"text", "character varying", "character", "json"})

_SCRUBBED = frozenset({"Dagster", "MLflow", "searches"})
"""The stores of libraries; the factory's own are bound by the ledger."""


def scrub_server(terms: SearchTerms) -> "Counter[str]":
    """Replace values in all columns of text, and count them by schema, table and column.

    There are none if the databases are files.

    Raises:
        StorageError: the server cannot be used.
    """
    found: Counter[str] = Counter()
    address = server_address()
    if address is None:
        return found
    from factory_resources.migration.catalog import run, tables_of
    from factory_resources.migration.server import connected, default_schema
    from factory_resources.migration.stores import stores

    with connected(address, DATABASE_VARIABLE) as connection:
        run(connection, f"SET lock_timeout = '{_LOCK_SECONDS}s'")
        for store in stores():
            if store.name not in _SCRUBBED:
                continue
            schema = store.schema or default_schema(connection)
            for table in tables_of(connection, schema):
                for column, count in _scrub_table(connection, table, terms).items():
                    found[f"{schema_words(schema)}: {column}"] += count
                run(connection, f"VACUUM (FULL, ANALYZE) {table.address}")
    return found


def _scrub_table(connection: Any, table: "StoredTable", terms: SearchTerms) -> "Counter[str]":
    found: Counter[str] = Counter()
    columns = [column for column in table.columns if column.type in _TEXT]
    if not columns:
        return found
    with in_transaction(connection):
        for place, *cells in _with_values(connection, table, terms):
            for column, cell in zip(columns, cells, strict=True):
                redaction = Redaction(terms)
                if cell is not None and (changed := redaction.text(cell)) != cell:
                    place = _update(connection, table, column.name, column.type, changed, place)
                    found[f"{table.name}.{column.name}"] += redaction.count
    return found


def _with_values(
    connection: Any, table: "StoredTable", terms: SearchTerms
) -> list[Sequence[str | None]]:
    """Return the place of each row with values, and its texts."""
    names = ", ".join(
        column.selected if column.type == "json" else f'"{column.name}"'
        for column in table.columns
        if column.type in _TEXT
    )
    redaction = Redaction(terms)
    changed: list[Any] = []
    with connection.cursor("erasure") as cursor:
        cursor.execute(f"SELECT ctid::text, {names} FROM {table.address}")
        while rows := cursor.fetchmany(_ROWS):
            if redaction.has_values(cell for row in rows for cell in row[1:] if cell):
                changed += [row for row in rows if redaction.has_values(filter(None, row[1:]))]
    return changed


def _update(
    connection: Any, table: "StoredTable", column: str, kind: str, text: str, place: str | None
) -> str:
    """Store a text; where it has to be unique, with a number. Return the new place of the row."""
    from psycopg2 import IntegrityError
    from psycopg2.errors import UniqueViolation

    from factory_resources.migration.catalog import run

    statement = (
        f'UPDATE {table.address} SET "{column}" = %s::{kind} WHERE ctid = %s::tid '
        "RETURNING ctid::text"
    )
    number, unique = 1, text
    while True:
        run(connection, "SAVEPOINT one")
        try:
            [(new,)] = run(connection, statement, [unique, place])
        except UniqueViolation:
            run(connection, "ROLLBACK TO one")
            number += 1
            unique = f"{text} {number}"
        except IntegrityError as error:
            raise StorageError(
                f"a value cannot be replaced ({error.__class__.__name__})",
                where=f"{schema_words(table.schema)}: {table.name}.{column}",
                remedy="change the rows with the program that owns them, then run it again",
            ) from None
        else:
            run(connection, "RELEASE one")
            return str(new)
