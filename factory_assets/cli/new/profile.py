"""Profile a data file: its columns, their types, missing-value tokens and values.

Decisions based on the profile belong in `recommend`.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_assets.cli.new.header import MISSING_TOKENS
from factory_assets.cli.new.reading import (
    largest_member,
    read_by_fitting_rules,
    require_data_file,
)
from factory_assets.cli.new.series import Panel, Series, find_panel, find_series
from factory_assets.cli.new.written import written_forms
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
from factory_resources.sources.files.reader import SourceTable, parquet
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
    written: str = ""
    """SQL that reads the value, such as `CAST(try_strptime({}, '%d.%m.%Y') AS DATE)`, if the
    contract cannot; `{}` is the text."""
    words: float = 0.0
    """The mean number of words of a text."""


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
    series: Series | None = None
    """The series that the rows are made of; None if they are not."""
    panel: Panel | None = None
    """The time at which units are observed again and again; None if there is none."""


def profile(path: Path) -> FileProfile:
    """Read the whole file once and describe every column.

    Raises:
        SourceError: the file is missing, unreadable, empty or has no rows.
    """
    require_data_file(path)
    member = largest_member(path)
    with tempfile.TemporaryDirectory() as scratch:
        raw, rules = read_by_fitting_rules(path, member, Path(scratch))
        if not raw.rows:
            raise SourceError("has no rows", where=raw.name, remedy="name a file with data rows")
        with (
            sealed(read=[raw.path], write=Path(scratch)) as connection,
            engine_errors(raw.name, SourceError, "check the file"),
        ):
            items = list(raw.columns.items())
            chunks = [items[i : i + _CHUNK] for i in range(0, len(items), _CHUNK)]
            columns = [c for chunk in chunks for c in _describe(connection, raw, chunk)]
            _view(connection, raw, columns)
            sample = _sample(connection, raw.rows, columns)
            series = find_series(connection, columns, raw.rows)
            panel = None if series else find_panel(connection, columns, raw.rows)
    return FileProfile(raw.rows, tuple(columns), rules, member, sample, series, panel)


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
    sums = ", ".join(
        f"count({v}), count(DISTINCT {v}), min({v}), max({v}), {_words(v, c)}"
        for v, c in zip(values, columns, strict=True)
    )
    row = iter(connection.execute(f"SELECT {sums} FROM {table}").fetchone())
    columns = [
        replace(
            c,
            present=next(row),
            distinct=next(row),
            low=next(row),
            high=next(row),
            words=next(row) or 0.0,
        )
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
    value = value_sql(cell, kind, ("", *column.tokens))
    return (
        column.written.replace("{}", value)
        if column.written
        else typed_sql(value, kind, column.type)
    )


def _words(value: str, column: ColumnSummary) -> str:
    """Return SQL for the mean number of words of a column of text."""
    words = rf"avg(len(regexp_split_to_array(trim({value}), '\s+')))"
    return words if column.type == "string" else "0.0"


def _is_running(connection: Any, table: str, column: ColumnSummary, value: str) -> bool:
    """Return whether whole numbers without a gap increase from row to row, in the file's order."""
    import numpy as np

    if column.type not in ("int64", "float64") or column.distinct <= MAX_LISTED_VALUES:
        return False
    found = connection.execute(f"SELECT CAST({value} AS DOUBLE) AS v FROM {table}").fetchnumpy()
    steps = np.diff(found["v"])
    return bool((steps > 0).all() and (steps == steps.round()).all())


def _view(connection: Any, raw: SourceTable, columns: Sequence[ColumnSummary]) -> None:
    """Create the view `typed` of all rows with typed values, by the names in the file."""
    cells = [
        f"{_typed(f't.{identifier(name)}', kind, column)} AS {identifier(column.source)}"
        for column, (name, kind) in zip(columns, raw.columns.values(), strict=True)
    ]
    connection.execute(
        f"CREATE TEMP VIEW typed AS SELECT {', '.join(cells)}, factory_place "
        f"FROM (SELECT *, row_number() OVER () AS factory_place FROM {parquet(raw.path)}) AS t"
    )


def _sample(connection: Any, rows: int, columns: Sequence[ColumnSummary]) -> "pa.Table":
    """Return a random but reproducible sample of the rows, in random order."""
    most = min(_SAMPLE_ROWS, max(1, _SAMPLE_CELLS // len(columns)))
    cells = [
        f"left({identifier(c.source)}, {_LETTERS}) AS {identifier(c.source)}"
        if c.type == "string"
        else identifier(c.source)
        for c in columns
    ]
    return connection.sql(
        f"SELECT {', '.join(cells)} FROM typed "
        f"WHERE hash(factory_place) % {-(-rows // most)} = 0 "
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
    texts = [
        (place, value_sql(cell, kind, ("", *column.tokens)))
        for place, ((cell, kind), column) in enumerate(zip(cells, columns, strict=True))
        if column.type == "string" and kind == "VARCHAR"
    ]
    for place, form in written_forms(connection, table, texts).items():
        columns[place] = replace(columns[place], type=form.type, written=form.sql)
    return columns
