"""Profile a data file: its columns, their types, missing-value tokens and values.

Decisions based on the profile belong in `recommend`.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_assets.cli.new.column_summary import MAX_LISTED_VALUES, ColumnForm, ColumnSummary
from factory_assets.cli.new.column_types import column_forms, show_typed, store_typed
from factory_assets.cli.new.files import read_files
from factory_assets.cli.new.oddities import (
    AMOUNTS_SQL,
    DAYS_SQL,
    NUMBERS_SQL,
    TOTALS_SQL,
    mixed_dates,
    mixed_marks,
    numbers_beside_texts,
    numbers_in_units,
    sentinels,
    totals,
)
from factory_assets.cli.new.roles import FEWEST_GROUPS, TIMES
from factory_assets.cli.new.series import UnitSeries, find_panel_time, find_series
from factory_assets.data.leakage.sample import draw_sample
from factory_resources.errors import SourceError
from factory_resources.sources.files.delimited_text import TextRules
from factory_resources.sources.files.reader import SourceTable
from factory_resources.sql.engine import WIDE, engine_errors
from factory_resources.sql.shared_engines import SharedEngines
from factory_resources.sql.spelling import unified_sql

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_CATEGORIES = 1000
"""A text with more distinct values is not searched for spellings of one value."""

_CHUNK = 100
"""Columns that one query describes: counting the different values of each takes memory."""

_IN_ORDER = 0.99
"""Correlation of the ranks of times with the places of their rows, if these are nearly in order."""

_FIRST = 100
"""First rows that are looked at for all columns together: most that do not increase show it."""

_SAMPLE_ROWS = 20_000
"""Rows of the sample."""

_EXAMPLES = 500
"""Rows whose values are searched for personal data."""


@dataclass(frozen=True)
class FileProfile:
    """The profile of a data file."""

    rows: int
    columns: tuple[ColumnSummary, ...]
    rules: TextRules
    """The rules that the file was read by, if it is text."""
    member: str | None
    """The file that was read from a zip with several; None otherwise."""
    other_members: tuple[str, ...]
    """The other data files of that zip, which are not read."""
    unread: tuple[str, ...]
    """The lines below the rows, which are not read."""
    unread_columns: Mapping[str, str]
    """The columns that are not read, each with the reason."""
    headers: int
    """How many lines among the rows repeat the names of the columns; `rows` leaves them out."""
    is_sorted: bool
    """Whether the columns are in the order of their names, as the keys of JSON Lines are."""
    sample: "pa.Table"
    """Some rows in random order, with typed values, by the names in the file. Texts that are spelt
    in several ways are as `clean.unify` spells them."""
    as_spelt: "pa.Table"
    """A few of these rows as the file spells them."""
    series: UnitSeries | None = None
    """The series that the rows are made of; None if they are not."""
    panel_time: ColumnSummary | None = None
    """The years at which units are observed again and again; None if there are none."""

    def examples(self, column: ColumnSummary) -> Sequence[Any]:
        """Return the values of a text, or those of some rows if there are many."""
        if column.values or column.type != "string":
            return column.values
        texts = self.as_spelt[column.source].drop_null()
        return texts.unique().to_pylist()  # type: ignore[no-any-return]


def profile(source: Path) -> FileProfile:
    """Read the file, or all files of a glob, once and describe every column.

    Raises:
        SourceError: a file is missing, unreadable, empty or has other columns than the first one,
            or there are no rows, or texts alone below a header that occurs again.
    """
    with tempfile.TemporaryDirectory() as scratch, SharedEngines(Path(scratch)) as engines:
        files = read_files(source, Path(scratch), engines)
        raw = files.raw
        if not raw.rows:
            raise SourceError("has no rows", where=raw.name, remedy="name a file with data rows")
        with (
            engines.sealed(
                read=[raw.path], write=Path(scratch), wide=len(raw.columns) > WIDE
            ) as connection,
            engine_errors(raw.name, SourceError, "check the file"),
        ):
            forms = column_forms(connection, raw, files.delimiter)
            columns = _typed_columns(connection, raw, forms, Path(scratch), files.delimiter)
            read = {c.source: c.numbers for c in columns if c.numbers}
            if numbers := {name: form for name, form in read.items() if form.type != "string"}:
                forms |= numbers
                columns = _typed_columns(connection, raw, forms, Path(scratch), files.delimiter)
            if files.headers and all(c.type == "string" and not c.pattern for c in columns):
                raise SourceError(
                    f"repeats the names of its columns in {files.headers} lines below the first",
                    where=raw.name,
                    remedy="remove these lines: no column has a type that would refuse them",
                )
            kinds = {c.cell: "VARCHAR" if c.type == "string" else c.type for c in columns}
            sample = draw_sample(
                connection,
                "typed",
                kinds,
                number="factory_place",
                rows=raw.rows,
                most=_SAMPLE_ROWS,
            )
            columns = [replace(c, commonest=_commonest(c, sample)) for c in columns]
            unified = _unified(connection, sample, [c.cell for c in columns if c.respelt])
            series = find_series(connection, columns, raw.rows)
            years = None if series else find_panel_time(connection, columns, raw.rows)
    return FileProfile(
        raw.rows,
        tuple(columns),
        files.rules,
        files.member,
        files.other_members,
        files.unread,
        files.unread_columns,
        files.headers,
        raw.format == "jsonl",
        unified.rename_columns([c.source for c in columns]),
        sample.slice(0, _EXAMPLES).rename_columns([c.source for c in columns]),
        series,
        years,
    )


def _typed_columns(
    connection: Any,
    raw: SourceTable,
    forms: Mapping[str, ColumnForm],
    scratch: Path,
    delimiter: str,
) -> list[ColumnSummary]:
    """Make the rows, typed by these forms, the view `typed`, and describe its columns."""
    typed = store_typed(connection, raw, forms, scratch)
    items = [(f"c{place}", *item) for place, item in enumerate(forms.items())]
    columns = list[ColumnSummary]()
    for start in range(0, len(items), _CHUNK):
        chunk = items[start : start + _CHUNK]
        show_typed(connection, typed, [cell for cell, _, _ in chunk])
        columns += _describe(connection, raw.rows, chunk, delimiter)
    show_typed(connection, typed, [cell for cell, _, _ in items])
    return columns


def _unified(connection: Any, sample: "pa.Table", cells: Sequence[str]) -> "pa.Table":
    """Return the rows with one spelling for each value of these columns."""
    if not cells:
        return sample
    connection.register("sample", sample)
    spelt = ", ".join(f"{unified_sql(cell)} AS {cell}" for cell in cells)
    return connection.sql(f"SELECT * REPLACE ({spelt}) FROM sample").to_arrow_table()


def _commonest(column: ColumnSummary, sample: "pa.Table") -> float:
    """Return the share of the sampled values that are the most frequent one."""
    import pyarrow.compute as pc

    values = sample[column.cell].drop_null()
    if column.type not in ("int64", "string") or column.distinct < FEWEST_GROUPS or not values:
        return 0.0
    counts = pc.value_counts(values).field("counts")
    return float(pc.max(counts).as_py() / len(values))


def _describe(
    connection: Any, rows: int, chunk: Sequence[tuple[str, str, ColumnForm]], delimiter: str
) -> list[ColumnSummary]:
    """Describe the columns of the view `typed`: their names in it, in the file, and form."""
    sums = ", ".join(
        f"count({v}), count(DISTINCT {v}), min({v}), max({v}), {_words(v, form)}"
        for v, _, form in chunk
    )
    [counts] = connection.execute(f"SELECT {sums} FROM typed").fetchall()
    row = iter(counts)
    columns = [
        ColumnSummary(
            **vars(form),
            source=source,
            cell=cell,
            present=next(row),
            distinct=next(row),
            low=next(row),
            high=next(row),
            words=next(row) or 0.0,
        )
        for cell, source, form in chunk
    ]
    few = [c for c in columns if c.distinct <= MAX_LISTED_VALUES]
    lists = _aggregates(connection, few, "list_sort(list(DISTINCT {}))")
    texts = [c for c in columns if c.type == "string" and c.distinct <= _MAX_CATEGORIES]
    unified = _aggregates(connection, texts, f"count(DISTINCT {unified_sql('{}')})")
    running = _running(connection, rows, columns)
    ordering = _ordering(connection, columns)
    strings = [c for c in columns if c.type == "string"]
    mixed = {name for name, count in _aggregates(connection, strings, NUMBERS_SQL).items() if count}
    many = [c for c in strings if c.distinct > MAX_LISTED_VALUES]
    amounts = {name for name, fit in _aggregates(connection, many, AMOUNTS_SQL).items() if fit}
    totalling = _aggregates(connection, many, TOTALS_SQL)
    days = {name for name, most in _aggregates(connection, many, DAYS_SQL).items() if most}
    beside = {
        column.source: numbers_beside_texts(connection, column, delimiter)
        for column in columns
        if column.source in mixed
    }
    return [
        replace(
            column,
            values=tuple(v for v in lists.get(column.source) or () if v is not None),
            respelt=column.distinct - unified.get(column.source, column.distinct),
            running=column.cell in running,
            in_order=column.cell in ordering,
            oddity=sentinels(connection, column)
            or (mixed_marks(connection, column) if column.source in mixed else "")
            or (mixed_dates(connection, column) if column.source in days else "")
            or totals(column, totalling.get(column.source, 0)),
            numbers=beside.get(column.source),
            in_units=(
                numbers_in_units(connection, column, delimiter)
                if column.source in amounts
                else None
            ),
        )
        for column in columns
    ]


def _aggregates(
    connection: Any, columns: Sequence[ColumnSummary], aggregate: str
) -> dict[str, Any]:
    """Return an aggregate of each column by its name; `{}` in its SQL is the column."""
    if not columns:
        return {}
    cells = ", ".join(aggregate.replace("{}", c.cell) for c in columns)
    [row] = connection.execute(f"SELECT {cells} FROM typed").fetchall()
    return dict(zip((c.source for c in columns), row, strict=True))


def _words(value: str, form: ColumnForm) -> str:
    """Return SQL for the mean number of words of a column of text."""
    words = rf"avg(len(regexp_split_to_array(trim({value}), '\s+')))"
    return words if form.type == "string" else "0.0"


def _ordering(connection: Any, columns: Sequence[ColumnSummary]) -> set[str]:
    """Return the columns of times in whose order, or the reverse, the rows of the file nearly
    are."""
    times = [c.cell for c in columns if c.type in TIMES and c.distinct > 1]
    if not times:
        return set()
    ranks = ", ".join(
        f"CASE WHEN {c} IS NOT NULL THEN rank() OVER (ORDER BY {c}) END" for c in times
    )
    likeness = ", ".join(f"abs(corr({c}, factory_place))" for c in times)
    [found] = connection.execute(
        f"SELECT {likeness} FROM (SELECT {ranks}, factory_place FROM typed) "
        f"AS ranked({', '.join(times)}, factory_place)"
    ).fetchall()
    return {cell for cell, alike in zip(times, found, strict=True) if alike >= _IN_ORDER}


def _running(connection: Any, rows: int, columns: Sequence[ColumnSummary]) -> set[str]:
    """Return the columns of numbers that increase from row to row by whole numbers, in the file's
    order."""
    numbers = ("int64", "float64")
    left = [
        column.cell
        for column in columns
        if column.distinct == rows > MAX_LISTED_VALUES and column.type in numbers
    ]
    begun = _increasing(connection, left, f"LIMIT {_FIRST}")
    return {cell for cell in begun if rows <= _FIRST or _increasing(connection, [cell])}


def _increasing(connection: Any, cells: Sequence[str], limit: str = "") -> set[str]:
    """Return which columns of the rows increase by whole numbers."""
    import numpy as np

    if not cells:
        return set()
    values = ", ".join(f"CAST({cell} AS DOUBLE) AS {cell}" for cell in cells)
    rows = connection.execute(f"SELECT {values} FROM typed ORDER BY factory_place {limit}")
    with np.errstate(over="ignore"):
        steps = {cell: np.diff(numbers) for cell, numbers in rows.fetchnumpy().items()}
    return {
        cell for cell, step in steps.items() if (step > 0).all() and (step == step.round()).all()
    }
