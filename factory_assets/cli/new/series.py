"""Recognise series: units, such as engines, each with rows one after another.

What a declaration makes of them belongs in `recommend`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from factory_assets.cli.new.column_summary import ColumnSummary
from factory_assets.data.leakage.semantics import NAMES, words_of

_FEWEST_ROWS = 10
"""Fewest rows of the average unit of a series: the median, or the mean, since a few units may have
most of the rows."""

_FEWEST_UNITS = 10

_MOST = 0.95
"""Share of the units, or rows, that must be as described."""

_FIRST = 8
"""Columns from the left that are tried as units and as order; most texts that name a unit."""

_CALENDAR = {
    **dict.fromkeys(("minute", "min"), 60),
    **dict.fromkeys(("hour", "hr", "stunde"), 24),
    "weekday": 7,
    **dict.fromkeys(("week", "woche"), 53),
    **dict.fromkeys(("month", "mnth", "monat"), 12),
}
"""Words for numbers that begin again and again, and order nothing; and the largest such number.
Beyond it they count on, such as the hours of a pump since it was repaired."""

_MOMENTS = frozenset(("year", "yr", "jahr", "date", "time", "period"))
"""Words for when a row happened."""

_YEARS = (1800, 2200)

_SERIAL = re.compile(r"([^\W\d_]+[-_ .#]?)\d+")


@dataclass(frozen=True)
class UnitSeries:
    """Rows that belong to units and follow each other."""

    by: str
    """The column of the unit, by its name in the file."""
    order: str
    """The column that orders the rows of a unit."""
    length: int
    """The median number of rows of a unit."""
    ends: bool
    """Whether the units may have ended one by one, as those that fail do, and not together."""


def find_series(connection: Any, columns: Sequence[ColumnSummary], rows: int) -> UnitSeries | None:
    """Return the series that the rows form: each unit's order counts up from 0 or 1, without gaps.

    A column of times is an order too, if each unit has a row at most once at a time and the column
    of units is named as one or has serial numbers, such as pump-07.

    Args:
        connection: with the view `typed` of all rows.
        columns: their profile.
        rows: their number.
    """
    for by in _units(columns, rows):
        orders = [
            c
            for c in columns[: 2 * _FIRST]
            if c is not by and c.present == rows and not _identifies(c)
        ]
        for order in orders:
            if _counts(order, rows) and (found := _counted(connection, by, order)):
                return found
        for order in orders:
            if order.type == "timestamp" and (_is_thing(by) or _are_serial_numbers(by)):
                found = _timed(connection, by, order, rows)
                if found:
                    return found
    return None


def find_panel_time(
    connection: Any, columns: Sequence[ColumnSummary], rows: int
) -> ColumnSummary | None:
    """Return the years at which units are observed, each at most once at a time; None if none.

    All texts together may name the unit, such as the state and the disease of a count.
    """
    years = [c for c in columns if c.present == rows and _is_year(c)]
    texts = [c.cell for c in columns if c.type == "string" and c.present == rows]
    for time in years:
        for by in _units(columns, rows):
            if by is not time and _is_panel(connection, [by.cell], time, rows):
                return time
        if 0 < len(texts) <= _FIRST and _is_panel(connection, texts, time, rows):
            return time
    return None


def _units(columns: Sequence[ColumnSummary], rows: int) -> Iterator[ColumnSummary]:
    """Yield the columns that may name the units, those that are named so first."""
    fits = [
        (place, c)
        for place, c in enumerate(columns)
        if c.type in ("int64", "string")
        and c.present == rows
        and not _calendar_end(c)
        and not _MOMENTS.intersection(words_of(c.source)[-1:])
        and _FEWEST_UNITS <= c.distinct <= rows / 3
        and (place < _FIRST or _is_thing(c))
    ]
    yield from (c for _, c in sorted(fits, key=lambda one: (not _is_thing(one[1]), one[0])))


def _is_thing(column: ColumnSummary) -> bool:
    return bool(NAMES.intersection(words_of(column.source)[-1:]))


def _identifies(column: ColumnSummary) -> bool:
    """Whether its numbers are those of people or things that have rows again and again, as in a
    table of who answered which question: they order nothing."""
    return "id" in words_of(column.source)[-1:]


def _are_serial_numbers(column: ColumnSummary) -> bool:
    """Whether its texts are numbers behind one and the same word."""
    low, high = (_SERIAL.fullmatch(str(text)) for text in (column.low, column.high))
    return low is not None and high is not None and low[1] == high[1]


def _calendar_end(column: ColumnSummary) -> int:
    """Return the largest number of a part of the calendar, such as 24 of hours; 0 of others."""
    return next((_CALENDAR.get(word, 0) for word in words_of(column.source)[-1:]), 0)


def _counts(column: ColumnSummary, rows: int) -> bool:
    """Whether all whole numbers from 0 or 1 to the largest occur, each in several rows."""
    return (
        column.type == "int64"
        and column.low in (0, 1)
        and column.distinct == column.high - column.low + 1
        and _FEWEST_ROWS <= column.distinct <= rows / 2
        and column.high > _calendar_end(column)
    )


def _counted(connection: Any, by: ColumnSummary, order: ColumnSummary) -> UnitSeries | None:
    unit, step = by.cell, order.cell
    [(whole, length, mean, ended)] = connection.execute(
        f"SELECT avg(CAST(n = d AND d = h - l + 1 AND l <= {order.low} AS INT)), "
        f"median(n), avg(n), quantile_disc(n, {1 - _MOST}) < quantile_disc(n, {_MOST}) "
        f"FROM (SELECT count(*) AS n, count(DISTINCT {step}) AS d, min({step}) AS l, "
        f"max({step}) AS h FROM typed GROUP BY {unit})"
    ).fetchall()
    if whole < _MOST or max(length, mean) < _FEWEST_ROWS:
        return None
    return UnitSeries(by.source, order.source, int(length), ended)


def _timed(
    connection: Any, by: ColumnSummary, order: ColumnSummary, rows: int
) -> UnitSeries | None:
    if not _is_panel(connection, [by.cell], order, rows):
        return None
    moment = f"epoch({order.cell})"
    span = f"(SELECT max({moment}) - min({moment}) FROM typed)"
    [(length, mean, ended)] = connection.execute(
        "SELECT median(n), avg(n), "
        f"avg(CAST(latest < max_latest - {span} / 20 AS INT)) FROM "
        "(SELECT *, max(latest) OVER () AS max_latest FROM (SELECT count(*) AS n, "
        f"max({moment}) AS latest FROM typed GROUP BY {by.cell}))"
    ).fetchall()
    if max(length, mean) < _FEWEST_ROWS:
        return None
    return UnitSeries(by.source, order.source, int(length), ended > 0.5)


def _is_panel(connection: Any, by: Sequence[str], time: ColumnSummary, rows: int) -> bool:
    """Whether each unit, named by these cells, has a row at most once at a time, and several."""
    units = ", ".join(by)
    [(cells, distinct)] = connection.execute(
        f"SELECT count(*), count(DISTINCT ({units})) FROM "
        f"(SELECT DISTINCT {units}, {time.cell} FROM typed)"
    ).fetchall()
    return bool(cells >= _MOST * rows and distinct >= _FEWEST_UNITS and rows >= 3 * distinct)


def _is_year(column: ColumnSummary) -> bool:
    """Whether its numbers are years, whole or with a part for the month."""
    return (
        column.type in ("int64", "float64")
        and column.distinct >= 5
        and _YEARS[0] <= column.low <= column.high <= _YEARS[1]
        and bool(_MOMENTS & set(words_of(column.source)))
    )
