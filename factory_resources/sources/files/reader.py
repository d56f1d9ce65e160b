"""Convert every kind of source to one form: a Parquet file whose row number is the record's."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from factory_resources.errors import ContractError, ExpressionError, SourceError
from factory_resources.home.home import storage_errors
from factory_resources.sources.files.archives import first_bytes, take_member, unpack
from factory_resources.sources.files.arff import arff_to_parquet
from factory_resources.sources.files.delimited_text import (
    Layout,
    TextRules,
    cells_sql,
    find_layout,
    text_to_parquet,
)
from factory_resources.sources.files.discovery import File, Format, format_of, sha256_of
from factory_resources.sources.files.json_lines import json_to_parquet
from factory_resources.sources.files.parquet_schema import require_readable
from factory_resources.sources.files.text_encoding import has_multiline_values, plain_text
from factory_resources.sources.files.text_errors import LONGEST, text_errors, too_wide
from factory_resources.sql.engine import MOST_COLUMNS, engine_errors, file_literal, literal, sealed
from factory_resources.sql.row_marks import is_none_of
from factory_resources.sql.shared_engines import SharedEngines

if TYPE_CHECKING:
    import duckdb
    import pyarrow


Columns = Mapping[str, tuple[str, str]]
"""Column of a source to its (name, DuckDB type) in the table."""

UNKNOWN = -1
"""A number of rows that is not known until they are read."""


@dataclass(frozen=True)
class DelimitedText:
    """How a file of delimited text is read."""

    rules: TextRules
    layout: Layout


@dataclass(frozen=True)
class SourceTable:
    """One source, ready to be queried.

    Raises:
        SourceError: it has too many columns.
    """

    path: Path
    """A Parquet file, or the text that `text` describes."""
    name: str
    sha256: str
    labels: Mapping[str, str]
    """Columns with the same value in every row, such as the site."""
    rows: int
    """Number of rows; UNKNOWN for a text that is not read yet."""
    columns: Columns
    format: Format | None
    """None for sources without a file format, whose columns have types."""
    partners: Mapping[str, str] = field(default_factory=dict)
    """Rule of each required join to the column that says whether the row has a match."""
    matched: Mapping[str, int] = field(default_factory=dict)
    """Number of rows with a match in the table of each join."""
    text: DelimitedText | None = None
    """How the lines of `path` are read; None if it is a Parquet file."""
    withheld: Mapping[str, str] = field(default_factory=dict)
    """Columns of the source that are left out, each with what to do to read them."""
    erased: tuple[int, ...] = ()
    """Numbers of rows, from 1, that are left out, although `rows` counts them."""
    trained: Mapping[str, str] = field(default_factory=dict)
    """Columns of a text to the types that they had in the source of training: keys of joins are
    compared as they were there."""

    def __post_init__(self) -> None:
        if len(self.columns) > MOST_COLUMNS:
            raise too_wide(len(self.columns), self.name)

    @property
    def rows_read(self) -> int:
        """Number of rows without those that are left out."""
        return self.rows - sum(row <= self.rows for row in self.erased)

    @property
    def relation(self) -> str:
        """The table expression, whose `file_row_number` counts the records from 0.

        It has no rows that are left out.
        """
        if self.text is None:
            every, cells = parquet(self.path), "*, file_row_number"
        else:
            source = cells_sql(self.path, self.text.rules, self.text.layout)
            # A window without an order numbers the rows as they come: in the order of the file.
            every = f"(SELECT *, row_number() OVER () - 1 AS file_row_number FROM {source})"
            cells = "*"
        if not self.erased:
            return every
        left = is_none_of([row - 1 for row in self.erased])
        return f"(SELECT {cells} FROM {every} WHERE {left})"


def read_file(
    file: File,
    scratch: Path,
    *,
    declared: Format | None = None,
    member: str | None = None,
    rules: TextRules,
    digest: str | None = None,
    once: bool = False,
    engines: SharedEngines | None = None,
) -> SourceTable:
    """Convert one file to the common form; a Parquet file is used in place.

    Args:
        digest: the SHA-256 of the file, if it is known.
        once: whether the caller reads the rows only once; delimited text is then used in place.
        scratch: an empty folder for this file alone.
        engines: that the caller shares among small jobs; None to start one.

    Raises:
        SourceError: the file cannot be read; the message is one line.
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
        rules = rules if kind == "csv" else replace(rules, skip=0, until="")
        path, rules = plain_text(path, name, rules, scratch, latin=kind != "jsonl")
    if once and kind == "csv":
        layout = _find_layout(path, name, rules)
        if layout.delimiter != " ":
            text = DelimitedText(rules, layout)
            columns = _text_cells(layout)
            return SourceTable(path, name, digest, {}, UNKNOWN, columns, kind, text=text)
    with (engines or SharedEngines()).seeing(path, scratch) as (connection, seen):
        if kind == "parquet":
            columns = parquet_columns(connection, seen, name)
        else:
            path = scratch / "cells.parquet"
            columns = _CONVERTERS[kind](connection, seen, name, rules, path)
            seen = path
        rows = _count_rows(connection, seen, name)
    return SourceTable(path, name, digest, {}, rows, columns, kind)


def read_table(table: "pyarrow.Table", name: str, scratch: Path) -> SourceTable:
    """Convert an Arrow table to the common form; its digest is that of its content.

    Raises:
        SourceError: no column or a repeated name, or a type that Parquet cannot store.
    """
    import pyarrow
    import pyarrow.parquet

    if not table.column_names:
        raise SourceError(
            "returned a table without columns",
            where=name,
            remedy="return its columns, even if it has no rows",
        )
    [(most, count)] = Counter(table.column_names).most_common(1)
    if count > 1:
        raise SourceError(
            f"returned two columns named {most!r}", where=name, remedy="rename one of them"
        )
    target = scratch / "table.parquet"
    # Chunks and metadata (such as the version of pandas) do not belong to the content.
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
    """Return the table expression for this Parquet file, without columns from its path."""
    return f"read_parquet({file_literal(path)}, hive_partitioning=false)"


def numbered(paths: Sequence[Path], rows: Sequence[int], start: int = 0) -> str:
    """Return a query for the rows of a snapshot's files, with their position among all as `_order`.

    Args:
        paths: the files.
        rows: number of rows of each file.
        start: position of the first row.
    """
    files = ", ".join(literal(str(path)) for path in paths)
    if len(paths) == 1:
        order = f"file_row_number + {start}" if start else "file_row_number"
        return f"SELECT *, {order} AS _order FROM {parquet(paths[0])}"
    # Not by the engine's `file_index`, which a column of that name hides.
    before = [*accumulate(rows, initial=start)][:-1]
    order = f"file_row_number + ({before}::BIGINT[])[enum_code(_path::ENUM({files})) + 1]"
    return (
        f"SELECT * EXCLUDE (_path), {order} AS _order "
        f"FROM read_parquet([{', '.join(map(file_literal, paths))}], hive_partitioning=false, "
        "filename='_path')"
    )


def parquet_columns(connection: "duckdb.DuckDBPyConnection", path: Path, name: str) -> Columns:
    """Return the columns of a Parquet file.

    Raises:
        SourceError: the file is damaged, or has names that the engine would change, or whole
            numbers that it would round.
    """
    with engine_errors(name, SourceError, "fetch the file again"):
        described = connection.execute(f"DESCRIBE FROM {parquet(path)}").fetchall()
        require_readable(connection, path, name)
    return {column: (column, kind) for column, kind, *_ in described}


@contextmanager
def blamed_on_files(tables: Sequence[SourceTable], scratch: Path) -> Iterator[None]:
    """If an expression over the sources fails, check first whether a file is damaged.

    Raises:
        SourceError: a file cannot be read to its end; the message names it.
    """
    try:
        yield
    except (ExpressionError, ContractError):
        for table in tables:
            if table.format == "parquet" or table.text:
                _require_undamaged(table, scratch)
        raise


def _require_undamaged(table: SourceTable, scratch: Path) -> None:
    query = f"SELECT bit_xor(hash(COLUMNS(*))) FROM {table.relation}"
    errors = (
        text_errors(table.name, table.text.rules.encoding, table.path, table.text.layout.delimiter)
        if table.text
        else engine_errors(table.name, SourceError, "fetch the file again")
    )
    with sealed(read=[table.path], write=scratch) as connection, errors:
        connection.execute(query).fetchall()


def _count_rows(connection: "duckdb.DuckDBPyConnection", path: Path, name: str) -> int:
    with engine_errors(name, SourceError, "fetch the file again"):
        row = connection.execute(f"SELECT count(*) FROM {parquet(path)}").fetchone()
    return int(row[0]) if row else 0


def _delimited_to_parquet(
    connection: "duckdb.DuckDBPyConnection", path: Path, name: str, rules: TextRules, target: Path
) -> Columns:
    layout = _find_layout(path, name, rules)
    text_to_parquet(connection, path, name, rules, layout, target)
    return _text_cells(layout)


def _find_layout(path: Path, name: str, rules: TextRules) -> Layout:
    layout = find_layout(first_bytes(path, name, "plain", LONGEST), name, rules)
    return replace(layout, multiline=has_multiline_values(path, layout.delimiter))


def _text_cells(layout: Layout) -> Columns:
    return {column: (f"c{i}", "VARCHAR") for i, column in enumerate(layout.columns)}


_CONVERTERS = {"csv": _delimited_to_parquet, "jsonl": json_to_parquet, "arff": arff_to_parquet}
"""Format of text to the function that stores its cells as Parquet."""
