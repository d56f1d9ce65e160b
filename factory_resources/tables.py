"""Immutable snapshots of tables: DuckDB's Parquet files, committed to a Delta Lake log."""

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from pydantic import BaseModel, ConfigDict

from factory_resources.engine import engine_errors, identifier, literal
from factory_resources.errors import ExpressionError, StorageError
from factory_resources.home import Home, storage_errors

if TYPE_CHECKING:
    import duckdb
    import pyarrow


class Snapshot(BaseModel):
    """One version of a table. Its path is below the home's tables, so a home can be moved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str
    """The table's folder, `<pipeline>/<name>`."""
    data_version: str
    """SHA-256 of the Parquet file."""
    file: str
    """The Parquet file's name in the table's folder."""
    rows: int
    bytes: int
    columns: dict[str, str]
    """Column to DuckDB type, in order, identity columns included."""

    def path(self, home: Home) -> Path:
        return home.tables / self.table / self.file


@dataclass(frozen=True)
class Prepared:
    """Rows written to scratch: not yet a version of any table."""

    path: Path
    rows: int
    columns: dict[str, str]


def write(
    connection: "duckdb.DuckDBPyConnection", query: str, *, home: Home, table: str, folder: Path
) -> Snapshot:
    """`prepare` and `commit` in one."""
    return commit(prepare(connection, query, table=table, folder=folder), home=home, table=table)


def prepare(
    connection: "duckdb.DuckDBPyConnection", query: str, *, table: str, folder: Path
) -> Prepared:
    """Write the rows of `query`, in its order, to scratch. The same rows give the same bytes.

    Args:
        connection: a sealed engine that may write to `folder`.
        query: one SELECT.
        table: what is being written, for messages.
        folder: scratch on the home's own file system.

    Raises:
        ExpressionError: a column of a type that no table can hold, or a value that no type can.
        StorageError: the disk says no.
    """
    path = folder / f"{uuid4().hex}.parquet"
    with engine_errors(table):
        described = connection.execute(f"DESCRIBE {query}").fetchall()
        columns = {name: _stored_type(name, kind, table) for name, kind, *_ in described}
        casts = ", ".join(
            identifier(name)
            if columns[name] == kind
            else f"CAST({identifier(name)} AS {columns[name]}) AS {identifier(name)}"
            for name, kind, *_ in described
        )
        copied = connection.execute(
            f"COPY (SELECT {casts} FROM ({query})) TO {literal(str(path))} "
            "(FORMAT parquet, COMPRESSION zstd)"
        ).fetchone()
    return Prepared(path, copied[0] if copied else 0, columns)


def commit(prepared: Prepared, *, home: Home, table: str) -> Snapshot:
    """Make the rows the newest version of `table`; the same bytes make no second version.

    A crash at any point leaves the table at its old version.

    Raises:
        StorageError: the disk says no.
    """
    with storage_errors(home.tables / table):
        with prepared.path.open("rb+") as file:
            digest = file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        snapshot = Snapshot(
            table=table,
            data_version=digest,
            file=f"{digest}.parquet",
            rows=prepared.rows,
            bytes=prepared.path.stat().st_size,
            columns=prepared.columns,
        )
        path = snapshot.path(home)
        path.parent.mkdir(parents=True, exist_ok=True)
        # A file that no log names yet is invisible, so the move before the commit is safe.
        os.replace(prepared.path, path)
    _log(snapshot, path)
    return snapshot


def read_arrow(
    snapshot: Snapshot, home: Home, columns: Iterable[str] | None = None
) -> "pyarrow.Table":
    """The rows in stored order; `columns` picks and orders.

    Raises:
        StorageError: when the file is gone or damaged.
    """
    import pyarrow
    import pyarrow.parquet

    path = snapshot.path(home)
    try:
        # One file, never a data set: names such as a=b in the path are no partitions.
        return pyarrow.parquet.ParquetFile(path).read(
            columns=None if columns is None else list(columns)
        )
    except (OSError, pyarrow.ArrowException) as error:
        raise StorageError(
            f"snapshot {snapshot.data_version[:12]} of {snapshot.table} cannot be read ({error})",
            where=str(path),
            remedy="materialise the pipeline again",
        ) from error


def exists(snapshot: Snapshot, home: Home) -> bool:
    """Whether the snapshot's file is there in its full length."""
    path = snapshot.path(home)
    return path.is_file() and path.stat().st_size == snapshot.bytes


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
    # Instants are kept in UTC, the engine's time zone.
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
}


def stored_as(kind: str) -> str | None:
    """The type in which a table holds DuckDB's `kind`; None where it holds it in no way."""
    return "DOUBLE" if kind.startswith("DECIMAL") else _TYPES.get(kind)


def _stored_type(name: str, kind: str, table: str) -> str:
    stored = stored_as(kind)
    if stored is None:
        raise ExpressionError(
            f"column {name!r} has type {kind}, which no table holds",
            where=table,
            remedy="make it a number, text, boolean, date or timestamp, as in CAST(... AS DOUBLE)",
        )
    return stored


def _log(snapshot: Snapshot, path: Path) -> None:
    import pyarrow
    import pyarrow.parquet
    from deltalake import CommitProperties, DeltaTable, Schema
    from deltalake.exceptions import DeltaError
    from deltalake.transaction import AddAction, create_table_with_add_actions

    add = AddAction(
        path=snapshot.file,
        size=snapshot.bytes,
        partition_values={},
        modification_time=int(time.time() * 1000),
        data_change=True,
        stats=json.dumps({"numRecords": snapshot.rows}),
    )
    properties = CommitProperties(custom_metadata={"data_version": snapshot.data_version})
    try:
        # Whether a column can be null changes with the rows; the schema of the table does not.
        fields = [field.with_nullable(True) for field in pyarrow.parquet.read_schema(path)]
        schema = Schema.from_arrow(pyarrow.schema(fields))
        folder = str(path.parent)
        if not DeltaTable.is_deltatable(folder):
            create_table_with_add_actions(folder, schema, [add], commit_properties=properties)
            return
        delta = DeltaTable(folder)
        if [Path(uri).name for uri in delta.file_uris()] != [snapshot.file]:
            delta.create_write_transaction(
                [add], mode="overwrite", schema=schema, commit_properties=properties
            )
    except (DeltaError, OSError) as error:
        raise StorageError(
            f"cannot record version {snapshot.data_version[:12]} ({error})",
            where=str(path.parent),
            remedy="free space or make the folder writable; if another run writes it, run again",
        ) from error
