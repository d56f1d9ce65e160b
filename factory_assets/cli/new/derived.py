"""Columns that a draft derives: texts read as numbers and dates, parts and ages of dates."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from factory_assets.cli.new.column_summary import ColumnSummary
from factory_assets.cli.new.names import free_name
from factory_assets.cli.new.profile import FileProfile
from factory_assets.cli.new.roles import TIMES, is_birth
from factory_resources.errors import ExpressionError
from factory_resources.sql.engine import identifier
from factory_resources.sql.expressions import parse

_MOST_TIMES = 4
"""Most columns of times whose distances are derived."""


@dataclass(frozen=True)
class DerivedColumn:
    """An entry of `clean.derive`."""

    name: str
    sql: str
    comment: str = ""


def sql_name(name: str) -> str:
    """Return a column's name as SQL: quoted only if it would mean something else."""
    try:
        plain = parse(name, "").columns == (name,)
    except ExpressionError:
        plain = False
    return name if plain else identifier(name)


def text_name(name: str) -> str:
    """Return the name of the text from which a column is read."""
    return f"{name}_text"


def read_texts(
    columns: Sequence[ColumnSummary], names: Mapping[str, str]
) -> Iterator[DerivedColumn]:
    """Yield each number and date that the contract cannot read, with what reads it."""
    for column in columns:
        if column.written:
            name = names[column.source]
            yield DerivedColumn(name, column.written.replace("{}", sql_name(text_name(name))))


def time_parts(
    table: FileProfile,
    times: Sequence[ColumnSummary],
    names: Mapping[str, str],
    *,
    ordered_by: str | None,
    taken: set[str],
) -> Iterator[DerivedColumn]:
    """Yield what a model can learn from times: their parts, and how far they are apart.

    A year is a part only if the split is not by time: the years of the test rows are new then.

    Args:
        table: the profile of the data file.
        times: the columns of times that are known beforehand.
        names: the columns' names in the file and in the pipeline.
        ordered_by: the name of the column by whose time rows are split; None if they are not.
        taken: names, in lower case, that other columns have; those that are yielded are added.
    """
    events = [c for c in times if not is_birth(c)]
    births = [c for c in times if is_birth(c)]
    for column in events:
        name = names[column.source]
        for part, sql in _parts(table, column):
            if part == "year" and ordered_by:
                continue
            if part in {other.lower() for other in names.values()}:
                continue  # The file has it already.
            made = free_name(f"{name}_{part}", taken)
            yield DerivedColumn(made, sql.format(sql_name(name)))
    when = next((c for c in events if names[c.source] == ordered_by), next(iter(events), None))
    for column in births:
        name = names[column.source]
        if when is None:
            yield DerivedColumn(free_name(f"{name}_year", taken), f"year({sql_name(name)})")
        else:
            days = f"date_diff('day', {sql_name(name)}, {sql_name(names[when.source])})"
            yield DerivedColumn(free_name(f"{name}_age", taken), f"{days} / 365.25", "years")
    for column in events[:_MOST_TIMES]:
        if when is not None and column is not when:
            one, two = names[when.source], names[column.source]
            unit = "minute" if when.type == column.type == "timestamp" else "day"
            yield DerivedColumn(
                free_name(f"{two}_after_{one}"[:60], taken),
                f"date_diff('{unit}', {sql_name(one)}, {sql_name(two)})",
                f"{unit}s; only if both are known beforehand",
            )


def _parts(table: FileProfile, column: ColumnSummary) -> Iterator[tuple[str, str]]:
    """Yield the parts of a time that vary, each with its SQL."""
    import pyarrow.compute as pc

    values = pc.drop_null(table.sample[column.source])
    counts = {
        "year": (pc.year, "year({})"),
        "month": (pc.month, "month({})"),
        "weekday": (pc.day_of_week, "isodow({})"),
    }
    if column.type == "timestamp":
        counts["hour"] = (pc.hour, "hour({})")
    for part, (of, sql) in counts.items():
        if len(pc.unique(of(values))) > 1:
            yield part, sql


def is_time(column: ColumnSummary) -> bool:
    return column.type in TIMES
