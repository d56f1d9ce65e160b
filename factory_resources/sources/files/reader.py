"""Every kind of source as one kind: a Parquet file whose row number is the record's."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from factory_resources.errors import ContractError, ExpressionError, SourceError
from factory_resources.home.home import storage_errors
from factory_resources.sources.files.archives import first_bytes, take_member, unpack
from factory_resources.sources.files.delimited_text import (
    LONGEST,
    TextRules,
    find_layout,
    text_to_parquet,
)
from factory_resources.sources.files.discovery import File, Format, format_of, sha256_of
from factory_resources.sources.files.json_lines import json_to_parquet
from factory_resources.sources.files.text_encoding import plain_text
from factory_resources.sql.engine import engine_errors, literal, sealed

if TYPE_CHECKING:
    import duckdb
    import pyarrow


Columns = Mapping[str, tuple[str, str]]
"""A source's column to its (name, DuckDB type) in the Parquet file."""


@dataclass(frozen=True)
class SourceTable:
    """One source, ready to be queried."""

    path: Path
    name: str
    sha256: str
    labels: Mapping[str, str]
    """Columns that hold the same value in every row, such as the site."""
    rows: int
    columns: Columns
    format: Format | None
    """None for what has types of its own and no format."""
    partners: Mapping[str, str] = field(default_factory=dict)
    """Of each required join, its rule to the column that says whether the row has its like."""


def read_file(
    file: File,
    scratch: Path,
    *,
    declared: Format | None = None,
    member: str | None = None,
    rules: TextRules,
    digest: str | None = None,
) -> SourceTable:
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
        path, inner = take_member(path, name, member, scratch)
        name = f"{name}/{inner}"
        kind, packing = format_of(inner, declared)
    if packing == "zip" or kind is None:
        raise SourceError("is a zip inside a zip", where=name, remedy="unpack the outer one")
    if packing != "plain":
        path = unpack(path, name, packing, scratch)
    if path.stat().st_size == 0:
        raise SourceError("is empty", where=name, remedy="fetch the file again")
    if kind != "parquet":
        path, rules = plain_text(path, name, rules, scratch)
    with sealed(read=[path], write=scratch) as connection:
        if kind == "parquet":
            columns = parquet_columns(connection, path, name)
        else:
            target = scratch / "cells.parquet"
            to_parquet = _text if kind == "csv" else json_to_parquet
            columns = to_parquet(connection, path, name, rules, target)
            path = target
        rows = _count(connection, path, name)
    return SourceTable(path, name, digest, {}, rows, columns, kind)


def read_table(table: "pyarrow.Table", name: str, scratch: Path) -> SourceTable:
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
    return SourceTable(target, name, _content_digest(plain), {}, plain.num_rows, columns, None)


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


def numbered(paths: Sequence[Path], rows: Sequence[int], start: int = 0) -> str:
    """A query for the rows of a snapshot's files, with their place among all as `_order`.

    Args:
        paths: of the files.
        rows: how many rows each of them has.
        start: the place of the first row.
    """
    files = ", ".join(literal(str(path)) for path in paths)
    before = [*accumulate(rows, initial=start)]
    order = f"file_row_number + {start}" if start else "file_row_number"
    if len(paths) > 1:
        order = "file_row_number"
        order += f" + ({before[:-1]}::BIGINT[])[(file_index + 1)::BIGINT]"
    return f"SELECT *, {order} AS _order FROM read_parquet([{files}], hive_partitioning=false)"


def parquet_columns(connection: "duckdb.DuckDBPyConnection", path: Path, name: str) -> Columns:
    """The columns of a Parquet file.

    Raises:
        SourceError: damaged, or names that the engine would change.
    """
    with engine_errors(name, SourceError, "fetch the file again"):
        described = connection.execute(f"DESCRIBE FROM {parquet(path)}").fetchall()
        nodes = connection.execute(
            f"SELECT name, num_children FROM parquet_schema({literal(str(path))})"
        ).fetchall()
    _require_names(_top_level(nodes[1:]), name)
    return {column: (column, kind) for column, kind, *_ in described}


def _top_level(nodes: Sequence[tuple[str, int | None]]) -> list[str]:
    """Of a schema's nodes, parents first, the names that are columns."""
    names = []
    inside = 0
    for name, children in nodes:
        if not inside:
            names.append(name)
            inside = 1
        inside += (children or 0) - 1
    return names


def _require_names(names: Sequence[str], where: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        fault = None
        if not name:
            fault = "has a column without a name"
        elif name.lower() == "file_row_number":
            fault = f"has a column named {name!r}, which the engine keeps for itself"
        elif other := seen.get(name.lower()):
            fault = (
                f"has 2 columns named {name!r}"
                if other == name
                else f"has columns {other!r} and {name!r}, which differ only in case"
            )
        if fault:
            raise SourceError(fault, where=where, remedy="rename it")
        seen[name.lower()] = name


@contextmanager
def blamed_on_files(raws: Sequence[SourceTable], scratch: Path) -> Iterator[None]:
    """Where an expression fails over them, ask first whether a Parquet file is damaged inside.

    Raises:
        SourceError: naming the file that cannot be read to its end.
    """
    try:
        yield
    except (ExpressionError, ContractError):
        for raw in raws:
            if raw.format == "parquet":
                _require_whole(raw, scratch)
        raise


def _require_whole(raw: SourceTable, scratch: Path) -> None:
    query = f"SELECT bit_xor(hash(COLUMNS(*))) FROM {parquet(raw.path)}"
    with (
        sealed(read=[raw.path], write=scratch) as connection,
        engine_errors(raw.name, SourceError, "fetch the file again"),
    ):
        connection.execute(query).fetchall()


def _count(connection: "duckdb.DuckDBPyConnection", path: Path, name: str) -> int:
    with engine_errors(name, SourceError, "fetch the file again"):
        found = connection.execute(f"SELECT count(*) FROM {parquet(path)}").fetchone()
    return int(found[0]) if found else 0


def _text(
    connection: "duckdb.DuckDBPyConnection", path: Path, name: str, rules: TextRules, target: Path
) -> Columns:
    layout = find_layout(first_bytes(path, name, "plain", LONGEST), name, rules)
    text_to_parquet(connection, path, name, rules, layout, target)
    return {column: (f"c{i}", "VARCHAR") for i, column in enumerate(layout.columns)}
