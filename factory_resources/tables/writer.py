"""Write the Parquet files of snapshots. That a table's log names them belongs in `delta_log`."""

import os
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from factory_resources.errors import ExpressionError
from factory_resources.home.home import Home, storage_errors
from factory_resources.sql.engine import (
    ZONED,
    ZONED_NANOSECONDS,
    engine_errors,
    identifier,
    literal,
)
from factory_resources.tables.snapshot import Snapshot, TableFile

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class StagedTable:
    """Rows written to scratch that are not yet a version of a table."""

    path: Path
    rows: int
    columns: dict[str, str]


def write(
    connection: "duckdb.DuckDBPyConnection", query: str, *, home: Home, table: str, folder: Path
) -> Snapshot:
    """Run `prepare` and `keep`."""
    return keep(prepare(connection, query, table=table, folder=folder), home, table)


def prepare(
    connection: "duckdb.DuckDBPyConnection", query: str, *, table: str, folder: Path
) -> StagedTable:
    """Write the rows of `query` to scratch, in its order. The same rows give the same bytes.

    Args:
        connection: a sealed engine that may write to `folder`.
        query: one SELECT.
        table: the table's name, for messages.
        folder: scratch on the home's file system.

    Raises:
        ExpressionError: a column's type cannot be stored, or a value does not fit its stored type.
        StorageError: the file cannot be written.
    """
    path = folder / f"{uuid4().hex}.parquet"
    with engine_errors(table):
        described = connection.execute(f"DESCRIBE {query}").fetchall()
        columns = {name: _stored_type(name, kind, table) for name, kind, *_ in described}
        casts = ", ".join(
            identifier(name)
            if columns[name] == kind or kind.startswith(_ENUM)
            else f"CAST({identifier(name)} AS {columns[name]}) AS {identifier(name)}"
            for name, kind, *_ in described
        )
        copied = connection.execute(
            f"COPY (SELECT {casts} FROM ({query})) TO {literal(str(path))} "
            "(FORMAT parquet, COMPRESSION zstd)"
        ).fetchone()
    return StagedTable(path, copied[0] if copied else 0, columns)


def keep(prepared: StagedTable, home: Home, table: str) -> Snapshot:
    """Move the rows into the table's folder. No version names the file yet.

    Raises:
        StorageError: the file cannot be written.
    """
    with storage_errors(home.tables / table):
        with prepared.path.open("rb+") as file:
            digest = file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        stored = TableFile(sha256=digest, rows=prepared.rows, bytes=prepared.path.stat().st_size)
        folder = home.tables / table
        folder.mkdir(parents=True, exist_ok=True)
        # A file that no log names yet is invisible.
        os.replace(prepared.path, folder / stored.name)
    return Snapshot(table=table, files=(stored,), columns=prepared.columns)


STORABLE = "make it a number, text, boolean, date or timestamp, as in CAST(... AS DOUBLE)"
"""What to do about a column of a type that cannot be stored."""

_ENUM = "ENUM("
"""How the name of such a type begins; Parquet stores its values as text."""

_TYPES = {
    "BIGINT": "BIGINT",
    "DOUBLE": "DOUBLE",
    "VARCHAR": "VARCHAR",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP",
    "FLOAT": "DOUBLE",
    "UUID": "VARCHAR",
    '"NULL"': "VARCHAR",
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "HUGEINT"), "BIGINT"),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"), "BIGINT"),
    **dict.fromkeys(("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), "TIMESTAMP"),
    # Instants are stored in UTC, the engine's time zone.
    **dict.fromkeys((ZONED, ZONED_NANOSECONDS), "TIMESTAMP"),
}


def stored_as(kind: str) -> str | None:
    """Return the type in which a table stores DuckDB's `kind`; None if it cannot be stored."""
    if kind.startswith(_ENUM):
        return "VARCHAR"
    return "DOUBLE" if kind.startswith("DECIMAL") else _TYPES.get(kind)


def _stored_type(name: str, kind: str, table: str) -> str:
    stored = stored_as(kind)
    if stored is None:
        raise ExpressionError(
            f"column {name!r} has type {kind}, which a table cannot store",
            where=table,
            remedy=STORABLE,
        )
    return stored
