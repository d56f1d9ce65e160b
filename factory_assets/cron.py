"""Cron expressions: which are valid, and when one fires next.

Time zones and periods belong in `spec.calendar`, which takes long to import with all of `spec`.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

_NAMES = {
    field: {name: str(number) for number, name in enumerate(names.split(), first)}
    for field, names, first in (
        ("month", "jan feb mar apr may jun jul aug sep oct nov dec", 1),
        ("day of week", "sun mon tue wed thu fri sat", 0),
    )
}
"""What the numbers of a field are called there, and nowhere else."""

_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 7),
)

_AT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}

_LONGEST = timedelta(days=366 * 8)
"""Within which an expression fires if it ever does: 29 February is skipped in 2100."""

_CHANGING = (1, 2, 3)
"""Hours at which Dagster expects clocks to change. At another it moves a skipped time forward, and
takes the first of two."""

_PART = re.compile(r"^(\*|\d+(?:-\d+)?)(?:/(\d+))?$")


def check_cron(value: str) -> str:
    """Return `value` unchanged if it is a cron expression that can fire.

    Raises:
        ValueError: it is not; the message names the wrong field and what it may contain.
    """
    if value in _AT:
        return value
    fields = value.lower().split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"cron {value!r} has {len(fields)} fields; write 5 (minute hour day month weekday), "
            f"such as 0 2 * * *, or one of {', '.join(_AT)}"
        )
    for field, (name, low, high) in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            _check_part(_numbered(part, name), f"cron {value!r}: {name} {field!r}", low, high)
    # Dagster knows no days that are in none of the months, though a weekday would be enough. Any
    # day to look from will do; that of a leap year is soon followed by 29 February.
    by_date = " ".join([*fields[:-1], "*"])
    if next_tick(by_date, "UTC", datetime(2000, 1, 1, tzinfo=UTC)) is None:
        raise ValueError(f"cron {value!r} never fires: no such day is in these months")
    return value


def _check_part(part: str, where: str, low: int, high: int) -> None:
    match = _PART.match(part)
    if not match:
        raise ValueError(f"{where} is not `*`, a number, a range or a list, with an optional /step")
    numbers = [int(n) for n in match[1].split("-")] if match[1] != "*" else []
    if any(not low <= n <= high for n in numbers) or numbers != sorted(numbers):
        raise ValueError(f"{where} must lie between {low} and {high}, a range in ascending order")
    if match[2] == "0":
        raise ValueError(f"{where}: a step of 0 never fires; write 1 or more")


def _numbered(text: str, field: str) -> str:
    """Return a field, or a part of it, with numbers in place of names."""
    names = _NAMES.get(field, {})
    return re.sub(r"[a-z]{3}", lambda m: names.get(m[0], m[0]), text)


def next_tick(cron: str, timezone: str, after: datetime) -> datetime | None:
    """Return when an expression fires next, in UTC; None if it does not within eight years.

    Args:
        cron: as `check_cron` returns it.
        after: a moment, which does not count itself.
    """
    return next(ticks(cron, timezone, after), None)


def ticks(cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Yield when an expression fires within eight years after a moment, in UTC.

    If both day of month and day of week are restricted, either is enough. When clocks change, it
    fires when Dagster's scheduler does: an expression of every hour goes on as time passes; any
    other fires at the end of an hour that clocks skip, and at the second of two times that look
    alike.
    """
    zone, after = ZoneInfo(timezone), after.astimezone(UTC)
    fields = _AT.get(cron, cron).lower().split()
    minutes, hours, days, months, weekdays = (
        _values(_numbered(field, name), low, high - (name == "day of week"))
        for field, (name, low, high) in zip(fields, _FIELDS, strict=True)
    )
    weekdays = {day % 7 for day in weekdays}
    # A field that names all of them, such as */1, restricts nothing only beside a *.
    _, _, by_day, _, by_name = fields
    all_days = by_day == "*" or (len(days) == 31 and "*" in by_name)
    all_weekdays = by_name == "*" or (len(weekdays) == 7 and "*" in by_day)
    day = after.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    last = day + _LONGEST
    while day <= last:
        by_date, by_weekday = day.day in days, day.isoweekday() % 7 in weekdays
        either = not all_days and not all_weekdays
        fits = by_date or by_weekday if either else by_date and by_weekday
        if day.month in months and fits:
            yield from (tick for tick in _ticks(day, hours, minutes, zone) if tick > after)
        day += timedelta(days=1)


def _ticks(day: datetime, hours: set[int], minutes: set[int], zone: ZoneInfo) -> list[datetime]:
    """Return when an expression fires on a day, in UTC and in order."""
    found: set[datetime] = set()
    for hour, minute in product(hours, minutes):
        local = day.replace(hour=hour, minute=minute, tzinfo=zone)
        first, second = (local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
        is_skipped = second < first
        if len(hours) == 24:
            found |= set() if is_skipped else {first, second}
        elif hour not in _CHANGING:
            found.add(first)
        else:
            found.add(local.replace(minute=0).astimezone(UTC) if is_skipped else second)
    return sorted(found)


def _values(field: str, low: int, high: int) -> set[int]:
    """Return the numbers that a valid field names, as Dagster understands it.

    Args:
        high: the last number; Sunday is 0, and 7 where it is named.
    """
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.match(part)
        assert match is not None, field
        begin, _, end = match[1].partition("-")
        if begin == "*":
            first, last = low, high
        elif end or not match[2]:
            first, last = int(begin), int(end or begin)
        else:
            first, last = int(begin) if int(begin) <= high else low, high
        if first == last and (end or match[2]):
            # A range from a number to itself is the whole cycle.
            first, last = low, high
        found.update(range(first, last + 1, int(match[2] or 1)))
    return found
