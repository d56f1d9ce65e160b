"""Periods of time as partitions, and the check of time zones.

A period has a beginning and an end in its time zone, and a key. Periods and keys equal Dagster's,
also on days when clocks change. Cron expressions belong in `factory_assets.cron`, the keys of a
declaration in the other modules of `spec`.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Period = Literal["hour", "day", "week", "month"]

FORMATS: Mapping[Period, str] = {
    "hour": "%Y-%m-%d-%H:%M",
    "day": "%Y-%m-%d",
    "week": "%Y-%m-%d",
    "month": "%Y-%m-%d",
}
"""The format in which the beginning of a period becomes its key. If clocks show an hour twice, the
key of the second one also carries its UTC offset."""

CRON: Mapping[Period, str] = {
    "hour": "0 * * * *",
    "day": "0 0 * * *",
    "week": "0 0 * * 0",
    "month": "0 0 1 * *",
}
"""The cron expression of the beginnings of the periods."""


def key_of(begin: datetime, every: Period) -> str:
    """Return the key of the period that begins at `begin`."""
    form = FORMATS[every]
    repeated = begin.fold and begin.utcoffset() != begin.replace(fold=0).utcoffset()
    return begin.strftime(f"{form}%z" if every == "hour" and repeated else form)


def begin_of(key: str, every: Period, zone: ZoneInfo) -> datetime | None:
    """Return the beginning of the period with this key; None if no period has it."""
    plain = FORMATS[every]
    for form in (plain, f"{plain}%z"):
        try:
            parsed = datetime.strptime(key, form)
        except ValueError:
            continue
        begin = parsed.astimezone(zone) if parsed.tzinfo else local_moment(parsed, zone)
        if key_of(begin, every) == key and local_moment(floor(begin, every), zone) == begin:
            return begin
    return None


def end_of(begin: datetime, every: Period) -> datetime:
    """Return the end of the period that begins at `begin`."""
    zone = begin.tzinfo
    assert isinstance(zone, ZoneInfo)
    day = datetime(begin.year, begin.month, begin.day)
    match every:
        case "hour":
            return (begin.astimezone(UTC) + timedelta(hours=1)).astimezone(zone)
        case "day":
            return local_moment(day + timedelta(days=1), zone)
        case "week":
            return local_moment(day + timedelta(weeks=1), zone)
        case "month":
            return local_moment((day.replace(day=1) + timedelta(days=32)).replace(day=1), zone)


def floor(moment: datetime, every: Period) -> datetime:
    """Return the beginning of the period that contains `moment`, as local time without a zone."""
    hour = datetime(moment.year, moment.month, moment.day, moment.hour)
    day = hour.replace(hour=0)
    match every:
        case "hour":
            return hour
        case "day":
            return day
        case "week":
            return day - timedelta(days=(day.weekday() + 1) % 7)
        case "month":
            return day.replace(day=1)


def first_begin(start: datetime, every: Period, zone: ZoneInfo) -> datetime:
    """Return the first beginning of a period at or after `start` (a local time)."""
    begin = local_moment(floor(start, every), zone)
    return begin if in_utc(begin) >= in_utc(local_moment(start, zone)) else end_of(begin, every)


def periods(
    start: datetime, end: datetime | None, every: Period, zone: ZoneInfo, now: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """Yield beginning and end of every period that is over by `now` and by `end` (a local time)."""
    limit = in_utc(now) if end is None else min(in_utc(now), in_utc(local_moment(end, zone)))
    begin = first_begin(start, every, zone)
    while in_utc(until := end_of(begin, every)) <= limit:
        yield begin, until
        begin = until


def local_moment(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return a local time as a moment: the first of two, or moved forward if clocks skip it."""
    return moment.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)


def in_utc(moment: datetime) -> datetime:
    """Convert to UTC for a comparison: within one time zone, Python compares local times."""
    return moment.astimezone(UTC)


def check_timezone(value: str) -> str:
    """Return `value` unchanged if it names a time zone.

    Raises:
        ValueError: no time zone has this name.
    """
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(
            f"unknown time zone {value!r}; use a name such as Europe/Berlin"
        ) from error
    return value
