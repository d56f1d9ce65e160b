"""Dates and times in many forms, and text that only resembles them."""

from datetime import date, datetime

from tests.bad_data.case import BROKEN, Case, typed

_DAY = date(2024, 1, 2)
_TIME = datetime(2024, 1, 2, 3, 4, 5)


def _day(name: str, *cells: str) -> Case:
    """Return a case of one valid date, and cells that are not dates."""
    return typed(
        "date", ["2024-01-02", *cells], [_DAY, *[BROKEN] * len(cells)], name=f"date: {name}"
    )


def _time(name: str, *cells: str) -> Case:
    """Return a case of one valid time, and cells that are not times."""
    values = [_TIME, *[BROKEN] * len(cells)]
    return typed("timestamp", ["2024-01-02 03:04:05", *cells], values, name=f"time: {name}")


def _text(name: str, *cells: str) -> Case:
    """Return a case of cells that stay text if no type is declared."""
    return typed(None, cells, list(cells), name=f"inferred: {name}")


CASES: list[Case] = [
    typed("date", ["2024-01-02", "2024-02-29"], [_DAY, date(2024, 2, 29)], name="date: a leap day"),
    typed(
        "date",
        ["2024/01/02", "2024-1-2"],
        [_DAY, _DAY],
        name="date: other separators and fewer digits",
    ),
    typed(
        "date",
        ["2024-01-02 00:00:00", "2024-01-02T00:00:00Z"],
        [_DAY, _DAY],
        name="date: at midnight",
    ),
    typed(
        "date",
        ["1000-01-01", "9999-12-31"],
        [date(1000, 1, 1), date(9999, 12, 31)],
        name="date: the first and last year",
    ),
    _day("30 February", "2024-02-30"),
    _day("29 February of a common year", "2023-02-29", "1900-02-29"),
    _day("month 13 and day 0", "2024-13-01", "2024-01-00", "2024-00-01"),
    _day("two digit years", "24-01-02", "01-02-24"),
    _day("year 0", "0000-01-01"),
    _day("before Christ", "-0001-01-01", "44-03-15 (BC)"),
    _day("year 10000", "10000-01-01", "294247-01-01"),
    _day("day first", "02.01.2024", "02/01/2024", "2 Jan 2024"),
    _day("in words", "today", "now", "epoch", "infinity", "-infinity"),
    _day("with a time of day", "2024-01-02 03:04:05"),
    _day("compact", "20240102"),
    _day("week and ordinal", "2024-W01-2", "2024-001"),
    _day("an epoch number", "1704164645", "19724"),
    _day("a spreadsheet's number", "45293"),
    _day("a year or a month alone", "2024", "2024-01"),
    typed(
        "timestamp", ["2024-01-02T03:04:05", "2024-01-02 03:04:05"], [_TIME] * 2, name="time: plain"
    ),
    typed(
        "timestamp",
        ["2024-01-02T03:04:05Z", "2024-01-02 05:04:05+02:00", "2024-01-01T22:04:05-05"],
        [_TIME] * 3,
        name="time: zones become UTC",
    ),
    typed(
        "timestamp",
        ["2024-01-02 04:04:05 Europe/Berlin"],
        [_TIME],
        name="time: a named zone becomes UTC",
    ),
    typed(
        "timestamp",
        ["2024-01-02 03:04:05.123456", "2024-01-02 03:04:05.123456000"],
        [_TIME.replace(microsecond=123456)] * 2,
        name="time: microseconds",
    ),
    typed(
        "timestamp",
        ["2024-01-02 24:00:00"],
        [datetime(2024, 1, 3)],
        name="time: midnight at the end",
    ),
    _time("nanoseconds, which a table cannot hold", "2024-01-02 03:04:05.123456789"),
    _time("a leap second", "2016-12-31 23:59:60", "2016-12-31T23:59:60Z"),
    _time("an hour or a minute too many", "2024-01-02 25:00:00", "2024-01-02 03:60:00"),
    _time("two digit years", "24-01-02 03:04:05"),
    _time("year 0 and 10000", "0000-01-01 00:00:00", "10000-01-01 00:00:00"),
    _time("an epoch number", "1704164645", "1704164645000", "1704164645.5"),
    _time("in words", "now", "epoch", "infinity", "yesterday"),
    _time("a time of day alone", "03:04:05"),
    _time("before and after noon", "2024-01-02 03:04:05 PM"),
    _time("an unknown zone", "2024-01-02 03:04:05 Nowhere/Land"),
    _time("day first", "02.01.2024 03:04:05"),
    _time("followed by rubbish", "2024-01-02 03:04:05 oops"),
    typed(None, ["2024-01-02", "2024-02-29"], [_DAY, date(2024, 2, 29)], name="inferred: dates"),
    typed(
        None,
        ["2024-01-02", "2024-01-02 03:04:05"],
        [datetime(2024, 1, 2), _TIME],
        name="inferred: times",
    ),
    _text("30 February makes text", "2024-01-02", "2024-02-30"),
    _text("two digit years are text", "24-01-02", "24-02-03"),
    _text("two digit years at the end are text", "01-02-24", "03-04-24"),
    _text("days first are text", "02.01.2024", "03.01.2024"),
    _text("year 0 is text", "0000-01-01", "2024-01-02"),
    _text("year 10000 is text", "10000-01-01", "2024-01-02"),
    _text("the word epoch is text", "epoch", "2024-01-02"),
    _text("the word infinity makes text", "infinity", "2024-01-02"),
    _text("leap seconds are text", "2016-12-31 23:59:60", "2024-01-02 03:04:05"),
    _text("nanoseconds are text", "2024-01-02 03:04:05.123456789", "2024-01-02 03:04:05"),
    _text("times of day are text", "03:04:05", "04:05:06"),
    typed(
        None,
        ["1704164645", "1704164646"],
        [1704164645, 1704164646],
        name="inferred: epochs are numbers",
    ),
]
