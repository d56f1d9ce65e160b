"""Every kind of source as one kind: a Parquet file whose row number is the record's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from factory_resources.engine import engine_errors, identifier, literal, sealed
from factory_resources.errors import SourceError
from factory_resources.home import storage_errors
from factory_resources.sources import File, Format, format_of, sha256_of
from factory_resources.sources_packed import take_member, unpack
from factory_resources.sources_text import TextRules, find_layout, text_errors, text_to_parquet

if TYPE_CHECKING:
    import duckdb
    import pyarrow

Columns = Mapping[str, tuple[str, str]]
"""A source's column to its (name, DuckDB type) in the Parquet file."""


@dataclass(frozen=True)
class Raw:
    """One source, ready to be queried."""

    path: Path
    name: str
    sha256: str
    labels: Mapping[str, str]
    """Columns that hold the same value in every row, such as the site."""
    rows: int
    columns: Columns
    format: Format | None
    """None for what a Python function returned."""


def read_file(
    file: File,
    scratch: Path,
    *,
    declared: Format | None = None,
    member: str | None = None,
    rules: TextRules,
    digest: str | None = None,
) -> Raw:
    """Bring one file into the common form; Parquet is left where it is.

    Args:
        digest: the SHA-256 of the file, where it is known.
        scratch: an empty folder of this file's own.

    Raises:
        SourceError: whatever is wrong with the file, in one line.
    """
    digest = digest or sha256_of(file.path, file.name)
    path, name = file.path, file.name
    kind, packing = format_of(str(path), declared)
    if packing == "zip":
        path = take_member(path, name, member, scratch)
        name = f"{name}/{path.name}"
        kind, packing = format_of(path.name, declared)
    if packing == "zip" or kind is None:
        raise SourceError("is a zip inside a zip", where=name, remedy="unpack the outer one")
    if kind == "parquet" and packing != "plain":
        path = unpack(path, name, packing, scratch)
    if path.stat().st_size == 0:
        raise SourceError("is empty", where=name, remedy="fetch the file again")
    with sealed(read=[path], write=scratch) as connection:
        if kind == "parquet":
            columns = parquet_columns(connection, path, name)
        else:
            target = scratch / "cells.parquet"
            to_parquet = _text if kind == "csv" else _json_lines
            columns = to_parquet(connection, path, name, rules, target)
            path = target
        rows = _count(connection, path, name)
    return Raw(path, name, digest, {}, rows, columns, kind)


def read_table(table: "pyarrow.Table", name: str, scratch: Path) -> Raw:
    """Bring an Arrow table into the common form; its digest is that of its content.

    Raises:
        SourceError: a repeated column name, or a type that Parquet does not hold.
    """
    import pyarrow
    import pyarrow.parquet

    repeated = [n for n in table.column_names if table.column_names.count(n) > 1]
    if repeated:
        raise SourceError(
            f"returned two columns named {repeated[0]!r}", where=name, remedy="rename one of them"
        )
    target = scratch / "table.parquet"
    # Chunks and metadata (such as the version of pandas) are no content.
    plain = table.replace_schema_metadata(None).combine_chunks()
    try:
        with storage_errors(target):
            pyarrow.parquet.write_table(plain, target)
    except pyarrow.ArrowException as error:
        raise SourceError(
            f"returned a table that cannot be stored ({error})",
            where=name,
            remedy="return plain columns: numbers, text, booleans, dates",
        ) from error
    with sealed(read=[], write=scratch) as connection:
        columns = parquet_columns(connection, target, name)
    return Raw(target, name, _content_digest(plain), {}, plain.num_rows, columns, None)


def _content_digest(table: "pyarrow.Table") -> str:
    from hashlib import sha256

    import pyarrow

    digest = sha256()

    class Sink:
        closed = False

        def write(self, data: bytes) -> int:
            digest.update(data)
            return len(data)

        def flush(self) -> None: ...

        def close(self) -> None: ...

    with pyarrow.ipc.new_stream(pyarrow.PythonFile(Sink(), mode="w"), table.schema) as stream:
        stream.write_table(table)
    return digest.hexdigest()


def parquet(path: Path) -> str:
    """The table expression that reads exactly this Parquet file, and adds nothing of its path."""
    return f"read_parquet({literal(str(path))}, hive_partitioning=false)"


def numbered(paths: Sequence[Path]) -> str:
    """A query for the rows of a snapshot's files, with their place among all as `_order`."""
    files = ", ".join(literal(str(path)) for path in paths)
    # Above any row number of one file, and in the order of the files.
    order = "file_row_number" if len(paths) == 1 else "file_index * 1099511627776 + file_row_number"
    return f"SELECT *, {order} AS _order FROM read_parquet([{files}], hive_partitioning=false)"


def parquet_columns(connection: "duckdb.DuckDBPyConnection", path: Path, name: str) -> Columns:
    with engine_errors(name, SourceError, "fetch the file again"):
        described = connection.execute(f"DESCRIBE FROM {parquet(path)}").fetchall()
    columns = {column: (column, kind) for column, kind, *_ in described}
    if any(column.lower() == "file_row_number" for column in columns):
        raise SourceError(
            "has a column named 'file_row_number', which the engine keeps for itself",
            where=name,
            remedy="rename it",
        )
    return columns


def _count(connection: "duckdb.DuckDBPyConnection", path: Path, name: str) -> int:
    with engine_errors(name, SourceError, "fetch the file again"):
        found = connection.execute(f"SELECT count(*) FROM {parquet(path)}").fetchone()
    return int(found[0]) if found else 0


def _text(
    connection: "duckdb.DuckDBPyConnection", path: Path, name: str, rules: TextRules, target: Path
) -> Columns:
    layout = find_layout(connection, path, name, rules)
    text_to_parquet(connection, path, name, rules, layout, target)
    return {column: (f"c{i}", "VARCHAR") for i, column in enumerate(layout.columns)}


def _json_lines(
    connection: "duckdb.DuckDBPyConnection", path: Path, name: str, rules: TextRules, target: Path
) -> Columns:
    objects = f"read_ndjson_objects({literal(str(path))}, hive_partitioning=false)"
    with text_errors(name, rules.encoding):
        keys = connection.execute(
            f"SELECT key FROM (SELECT unnest(json_keys(json)) AS key FROM {objects}) "
            "GROUP BY key ORDER BY lower(key), key"
        ).fetchall()
        names = [key for (key,) in keys]
        if not names:
            raise SourceError(
                "holds no JSON object", where=name, remedy="write one JSON object a line"
            )
        # A JSON pointer takes any name: only ~ and / are special in it.
        pointers = [literal("/" + n.replace("~", "~0").replace("/", "~1")) for n in names]
        cells = ", ".join(f"cells[{i + 1}] AS {identifier(f'c{i}')}" for i in range(len(names)))
        connection.execute(
            f"COPY (SELECT {cells} FROM (SELECT json_extract_string(json, [{', '.join(pointers)}])"
            f" AS cells FROM {objects})) TO {literal(str(target))} (FORMAT parquet)"
        )
    return {key: (f"c{i}", "VARCHAR") for i, key in enumerate(names)}
