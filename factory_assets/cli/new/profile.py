"""Profile a data file: its columns, their types, missing-value tokens and values.

Decisions based on the profile belong in `recommend`.
"""

import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_assets.cli.new.header import MISSING_TOKENS, is_all_numbers, is_header
from factory_assets.data.contract.sql_types import (
    INFERRED,
    looks_like_sql,
    native_type,
    typed_sql,
    value_sql,
)
from factory_assets.spec.contract import ColumnType
from factory_resources.errors import SourceError
from factory_resources.sources.files.delimited_text import TextRules
from factory_resources.sources.files.discovery import File, format_of
from factory_resources.sources.files.reader import SourceTable, parquet, read_file
from factory_resources.sql.engine import engine_errors, identifier, literal, sealed
from factory_resources.sql.spelling import unified_sql

if TYPE_CHECKING:
    import pyarrow as pa

MAX_LISTED_VALUES = 20
"""The values of a column are listed if it has at most this many distinct ones."""

_MAX_CATEGORIES = 1000
"""A text with more distinct values is not searched for spellings of one value."""

NON_TEXT_MISSING_TOKENS = (*MISSING_TOKENS, "-", "--", ".", "None", "none", "missing", "unknown")
"""Tokens that mean "no value" in a column whose other values are numbers, dates or booleans."""

_CHUNK = 100
"""Columns that one query describes."""

_HEAD = 2000
"""Rows by which a header line is recognised."""

_SAMPLE_ROWS, _SAMPLE_CELLS = 20_000, 10_000_000
"""Rows and cells of the sample: a wide table gives fewer rows."""

_LETTERS = 200
"""Characters of a text in the sample."""


@dataclass(frozen=True)
class ColumnSummary:
    """The profile of one column."""

    source: str
    """The name in the file."""
    type: ColumnType
    tokens: tuple[str, ...] = ()
    """The missing-value tokens that occur in the column."""
    present: int = 0
    """The number of rows that have a value."""
    distinct: int = 0
    """The number of distinct values."""
    respelt: int = 0
    """How many of them differ from another one only in case, blanks or Unicode form."""
    low: Any = None
    high: Any = None
    values: tuple[Any, ...] = ()
    """All distinct values in order; empty if there are more than `MAX_LISTED_VALUES`."""
    running: bool = False
    """Whether its whole numbers increase from each row to the next, as row numbers do."""


@dataclass(frozen=True)
class FileProfile:
    """The profile of a data file."""

    rows: int
    columns: tuple[ColumnSummary, ...]
    rules: TextRules
    """The rules that the file was read by, if it is text."""
    member: str | None
    """The file that was read from a zip with several; None otherwise."""
    sample: "pa.Table"
    """Some rows in random order, with typed values, by the names in the file."""


def profile(path: Path) -> FileProfile:
    """Read the whole file once and describe every column.

    Raises:
        SourceError: the file is missing, unreadable, empty or has no rows.
    """
    if not path.is_file():
        raise SourceError("is not a file", where=str(path), remedy="name the data file")
    if not _is_data(path.name) and not zipfile.is_zipfile(path):
        raise SourceError(
            "its format cannot be derived from its name",
            where=str(path),
            remedy="rename it to end in .csv, .tsv, .txt, .parquet, .jsonl or .arff",
        )
    file = File(path, str(path))
    member = _largest_member(path)
    with tempfile.TemporaryDirectory() as scratch:
        raw, rules = _read(file, member, Path(scratch))
        if not raw.rows:
            raise SourceError("has no rows", where=raw.name, remedy="name a file with data rows")
        with (
            sealed(read=[raw.path], write=Path(scratch)) as connection,
            engine_errors(raw.name, SourceError, "check the file"),
        ):
            items = list(raw.columns.items())
            chunks = [items[i : i + _CHUNK] for i in range(0, len(items), _CHUNK)]
            columns = [c for chunk in chunks for c in _describe(connection, raw, chunk)]
            sample = _sample(connection, raw, columns)
    return FileProfile(raw.rows, tuple(columns), rules, member, sample)


def _largest_member(path: Path) -> str | None:
    """Return the largest data file of a zip with several files; None if there is no choice."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        infos = [i for i in archive.infolist() if not i.filename.startswith("__MACOSX/")]
    sizes = {info.filename: info.file_size for info in infos if _is_data(info.filename)}
    return max(sizes, key=lambda name: sizes[name]) if len(infos) > 1 and sizes else None


def _is_data(name: str) -> bool:
    try:
        return format_of(name)[1] != "zip"
    except SourceError:
        return False


_ATTEMPTS = tuple(
    TextRules(encoding=encoding, header=header)
    for encoding in ("utf-8", "latin-1")
    for header in (True, False)
)


def _read(file: File, member: str | None, scratch: Path) -> tuple[SourceTable, TextRules]:
    """Read the file by the first fitting rules: with a header unless line 1 is a row.

    Raises:
        SourceError: no rules fit; the error of the first attempt.
    """
    first_error: SourceError | None = None
    for number, rules in enumerate(_ATTEMPTS):
        attempt = scratch / str(number)
        attempt.mkdir()
        try:
            raw = read_file(file, attempt, member=member, rules=rules)
        except SourceError as error:
            first_error = first_error or error
            continue
        if raw.format != "csv" or rules.header == _names_its_columns(raw, rules, attempt):
            return raw, rules
        first_error = first_error or SourceError(
            "begins with a row instead of column names",
            where=raw.name,
            remedy="add a header line",
        )
    assert first_error is not None
    raise first_error


def _names_its_columns(raw: SourceTable, rules: TextRules, scratch: Path) -> bool:
    with sealed(read=[raw.path], write=scratch) as connection:
        rows = connection.execute(f"FROM {parquet(raw.path)} LIMIT {_HEAD}").fetchall()
    first: list[str] = [*raw.columns]
    if not rules.header:
        first, rows = ["" if cell is None else str(cell) for cell in (rows or [()])[0]], rows[1:]
    return not is_all_numbers(first) and is_header(first, rows)


def _describe(
    connection: Any, raw: SourceTable, chunk: Sequence[tuple[str, tuple[str, str]]]
) -> list[ColumnSummary]:
    """Describe a chunk of columns, each given as (name in the file, (name, SQL type))."""
    table = parquet(raw.path)
    cells = [(identifier(name), kind) for _, (name, kind) in chunk]
    columns = _typed_columns(connection, table, cells, [source for source, _ in chunk])
    values = [
        _typed(cell, kind, column) for (cell, kind), column in zip(cells, columns, strict=True)
    ]
    sums = ", ".join(f"count({v}), count(DISTINCT {v}), min({v}), max({v})" for v in values)
    row = iter(connection.execute(f"SELECT {sums} FROM {table}").fetchone())
    columns = [
        replace(c, present=next(row), distinct=next(row), low=next(row), high=next(row))
        for c in columns
    ]
    lists = ", ".join(
        f"list_sort(list(DISTINCT {v}))" if c.distinct <= MAX_LISTED_VALUES else "[]"
        for v, c in zip(values, columns, strict=True)
    )
    # Without an aggregate there would be a result for each row.
    [distinct_values] = connection.execute(f"SELECT {lists} FROM {table} LIMIT 1").fetchall()
    spellings = ", ".join(
        f"count(DISTINCT {unified_sql(v)})"
        if c.type == "string" and c.distinct <= _MAX_CATEGORIES
        else f"{c.distinct}"
        for v, c in zip(values, columns, strict=True)
    )
    [unified] = connection.execute(f"SELECT {spellings} FROM {table} LIMIT 1").fetchall()
    return [
        replace(
            column,
            values=tuple(v for v in of_column or () if v is not None),
            respelt=column.distinct - count,
            running=column.distinct == raw.rows and _is_running(connection, table, column, value),
        )
        for column, of_column, count, value in zip(
            columns, distinct_values, unified, values, strict=True
        )
    ]


def _typed(cell: str, kind: str, column: ColumnSummary) -> str:
    """Return SQL for the value of a cell in the type of its column."""
    return typed_sql(value_sql(cell, kind, ("", *column.tokens)), kind, column.type)


def _is_running(connection: Any, table: str, column: ColumnSummary, value: str) -> bool:
    """Return whether whole numbers without a gap increase from row to row, in the file's order."""
    import numpy as np

    if column.type not in ("int64", "float64") or column.distinct <= MAX_LISTED_VALUES:
        return False
    found = connection.execute(f"SELECT CAST({value} AS DOUBLE) AS v FROM {table}").fetchnumpy()
    steps = np.diff(found["v"])
    return bool((steps > 0).all() and (steps == steps.round()).all())


def _sample(connection: Any, raw: SourceTable, columns: Sequence[ColumnSummary]) -> "pa.Table":
    """Return a random but reproducible sample of the rows, in random order."""
    most = min(_SAMPLE_ROWS, max(1, _SAMPLE_CELLS // len(columns)))
    cells = []
    for column, (name, kind) in zip(columns, raw.columns.values(), strict=True):
        value = _typed(f"t.{identifier(name)}", kind, column)
        text = f"left({value}, {_LETTERS})" if column.type == "string" else value
        cells.append(f"{text} AS {identifier(column.source)}")
    numbered = f"SELECT *, row_number() OVER () AS factory_place FROM {parquet(raw.path)}"
    return connection.sql(
        f"SELECT {', '.join(cells)} FROM ({numbered}) AS t "
        f"WHERE hash(factory_place) % {-(-raw.rows // most)} = 0 "
        "ORDER BY hash(factory_place), factory_place"
    ).to_arrow_table()


def _typed_columns(
    connection: Any, table: str, cells: Sequence[tuple[str, str]], sources: Sequence[str]
) -> list[ColumnSummary]:
    """Return each column with its type and the missing-value tokens in it."""
    tokens = ", ".join(literal(token) for token in NON_TEXT_MISSING_TOKENS)
    tests = []
    for cell, kind in cells:
        text = f"CAST({value_sql(cell, kind, ('',))} AS VARCHAR)"
        tests.append(f"list_sort(list(DISTINCT {text}) FILTER (WHERE {text} IN ({tokens})))")
        tests += [
            f"bool_and({looks_like_sql(text, candidate)}) FILTER (WHERE {text} NOT IN ({tokens}))"
            for candidate in INFERRED
        ]
    row = iter(connection.execute(f"SELECT {', '.join(tests)} FROM {table}").fetchone())
    columns = []
    for source, (_, kind) in zip(sources, cells, strict=True):
        occurring = tuple(next(row) or ())
        fits = [candidate for candidate, fit in [(c, next(row)) for c in INFERRED] if fit]
        column_type = native_type(kind) or (fits[0] if fits and kind == "VARCHAR" else "string")
        # A typed source marks missing values itself, so there no value counts as a token.
        valid = MISSING_TOKENS if column_type == "string" else NON_TEXT_MISSING_TOKENS
        used = tuple(t for t in occurring if t in valid) if kind == "VARCHAR" else ()
        columns.append(ColumnSummary(source, column_type, used))
    return columns
