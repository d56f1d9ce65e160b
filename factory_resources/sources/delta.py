"""Delta tables of other systems: the files of a version, each read with all of its columns."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from glob import glob, has_magic
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from factory_resources.delta_protocol import LOG
from factory_resources.errors import SourceError
from factory_resources.sources.files.delimited_text import TextRules
from factory_resources.sources.files.discovery import File, expand, fault_of
from factory_resources.sources.files.reader import SourceTable, parquet, read_file, read_table
from factory_resources.sql.engine import engine_errors, identifier, literal, sealed

if TYPE_CHECKING:
    from deltalake import DeltaTable


_TYPES: Mapping[str, str] = {
    "string": "VARCHAR",
    "long": "BIGINT",
    "integer": "INTEGER",
    "short": "SMALLINT",
    "byte": "TINYINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMPTZ",
    "timestamp_ntz": "TIMESTAMP",
}


@dataclass(frozen=True)
class DeltaFile:
    """One file of a version of a table."""

    file: File
    columns: Mapping[str, str]
    """Every column of the table to its DuckDB type, in order."""
    partition: Mapping[str, object]
    """The columns that no file contains, with their value for all rows of this file."""


def delta_files(declared: str, version: int | None, folder: Path) -> list[DeltaFile]:
    """Return the files of a version, in the order in which they were written.

    Args:
        declared: the table's folder.
        version: the version, or None for the newest.
        folder: the base of a relative path.

    Raises:
        SourceError: there is no such table or version, or it uses an unsupported feature.
    """
    import pyarrow

    root, table = _open_table(declared, version, folder)
    columns = {field.name: _duckdb_type(field.type) for field in table.schema().fields}
    adds = pyarrow.table(table.get_add_actions()).to_pylist()
    # By time, so that rows added to a table come after those that it had.
    adds.sort(key=lambda add: (add["modification_time"], add["path"]))
    return [
        DeltaFile(
            _data_file(root, add["path"], declared), columns, dict(add.get("partition") or {})
        )
        for add in adds
    ]


def read_no_rows(declared: str, version: int | None, folder: Path, scratch: Path) -> SourceTable:
    """Read a version that has no file: only its columns; arguments and errors as `delta_files`."""
    import pyarrow

    _, table = _open_table(declared, version, folder)
    return read_table(pyarrow.schema(table.schema()).empty_table(), declared, scratch)


def read_delta_file(delta_file: DeltaFile, digest: str, scratch: Path) -> SourceTable:
    """Read one file with all columns of the table, also those of its partition and newer ones.

    Newer columns are null.

    Raises:
        SourceError: the file cannot be read; the message is one line.
    """
    stored = read_file(
        delta_file.file, scratch, declared="parquet", rules=TextRules(), digest=digest
    )
    if set(delta_file.columns) <= set(stored.columns):
        columns = {name: stored.columns[name] for name in delta_file.columns}
        return replace(stored, columns=columns, format=None)
    target = scratch / "whole.parquet"
    cells, columns = [], {}
    for i, (name, kind) in enumerate(delta_file.columns.items()):
        column, kind = stored.columns.get(name, (None, kind))
        constant = _partition_value(delta_file.partition.get(name), kind)
        value = identifier(column) if column else constant
        cells.append(f"{value} AS c{i}")
        columns[name] = (f"c{i}", kind)
    with (
        sealed(read=[stored.path], write=scratch) as connection,
        engine_errors(delta_file.file.name, SourceError, "repair the table"),
    ):
        connection.execute(
            f"COPY (SELECT {', '.join(cells)} FROM {parquet(stored.path)}) "
            f"TO {literal(str(target))} (FORMAT parquet)"
        )
    return replace(stored, path=target, columns=columns, format=None)


def _partition_value(value: object, kind: str) -> str:
    text = "NULL" if value is None else literal(str(value))
    return f"CAST({text} AS {kind})"


def _open_table(declared: str, version: int | None, folder: Path) -> "tuple[Path, DeltaTable]":
    root = _table_folder(declared, folder)
    table = _load_table(root, version, declared)
    _require_plain(table, declared)
    return root, table


def _table_folder(declared: str, folder: Path) -> Path:
    full = folder / os.path.expanduser(expand(declared))
    if full.is_dir() or not has_magic(str(full)):
        return full
    paths = glob(str(full))
    if len(paths) != 1:
        raise SourceError(f"{len(paths)} folders match {declared!r}", remedy="name one Delta table")
    return Path(paths[0])


def _load_table(root: Path, version: int | None, declared: str) -> "DeltaTable":
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    if not (root / LOG).is_dir():
        problem = "the folder has no Delta log" if root.is_dir() else "there is no such folder"
        raise SourceError(
            f"{declared!r} is not a Delta table: {problem}",
            remedy=f"name the folder that contains {LOG}",
        )
    try:
        newest = DeltaTable(str(root))
        if version is None:
            return newest
        if version > newest.version():
            raise SourceError(
                f"there is no version {version}",
                where=declared,
                remedy=f"the newest is {newest.version()}",
            )
        return DeltaTable(str(root), version=version)
    except (DeltaError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        of = "" if version is None else f"version {version} of "
        raise SourceError(
            f"{of}the Delta log cannot be read ({reason})",
            where=declared,
            remedy="repair the table, or name a version that was not vacuumed",
        ) from error


def _require_plain(table: "DeltaTable", declared: str) -> None:
    import pyarrow
    from deltalake.exceptions import DeltaError

    mode = table.metadata().configuration.get("delta.columnMapping.mode", "none")
    if mode != "none":
        raise SourceError(
            f"the table has column mapping ({mode}), which is not supported",
            where=declared,
            remedy="copy it into a table without delta.columnMapping.mode",
        )
    try:
        deleted = pyarrow.table(table.deletion_vectors()).num_rows
    except DeltaError:
        # There are some, but they are damaged.
        deleted = 1
    if deleted:
        raise SourceError(
            "the table has deletion vectors, which are not supported",
            where=declared,
            remedy="apply them: REORG TABLE … APPLY (PURGE)",
        )


def _duckdb_type(kind: Any) -> str:
    name = str(getattr(kind, "type", ""))
    if name.startswith("decimal"):
        return name.upper()
    return _TYPES.get(name, "VARCHAR")


def _data_file(root: Path, path: str, declared: str) -> File:
    # Paths in the log are encoded as in URLs.
    below = PurePosixPath(unquote(path))
    if below.is_absolute() or ".." in below.parts or "://" in path:
        raise SourceError(
            f"the Delta log names a file outside of the table ({path})",
            where=declared,
            remedy="copy the table as a whole",
        )
    file = File(root / below, f"{declared}/{below}")
    if not os.path.lexists(file.path):
        raise SourceError(
            "does not exist, although the log of the table names it",
            where=file.name,
            remedy="name a version that was not vacuumed, or repair the table",
        )
    if file.path.exists() and (fault := fault_of(file.path, os.path.realpath(root))):
        raise SourceError(fault, where=file.name, remedy="copy the table as a whole")
    return file
