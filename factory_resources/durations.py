"""Durations, days and moments as people write and read them, such as `30d` and `2026-03-01`."""

import re
from datetime import date

from factory_resources.errors import UnknownNameError

_UNITS = {"min": 60, "h": 3600, "d": 86_400, "w": 604_800}

_LENGTH = re.compile(r"(\d{1,6})(min|h|d|w)")


def seconds_of(text: str, where: str = "") -> int:
    """Return the seconds of a duration such as `30d`.

    Args:
        where: the setting that has it, for a message.

    Raises:
        UnknownNameError: the text is not a duration.
    """
    match = _LENGTH.fullmatch(text)
    if not match:
        raise UnknownNameError(
            f"{text!r} is not a duration",
            where=where,
            remedy="write a number and min, h, d or w, as in 30d",
        )
    return int(match[1]) * _UNITS[match[2]]


def moment(time: str | None) -> str:
    """Return a time in ISO 8601, which is in UTC, as people read it: `2026-11-26 14:48:07`."""
    return time[:19].replace("T", " ") if time else ""


def minute(time: str) -> str:
    """Return a time in ISO 8601 to the minute, as people read it: `2026-11-26 14:48`."""
    return time[:16].replace("T", " ")


def duration_text(seconds: int) -> str:
    """Return a duration as a person would write it, such as `2h`; `90 s` if it is no whole one."""
    for unit, length in reversed(_UNITS.items()):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds} s"


def parse_day(text: str) -> date:
    """Return the day of a text such as `2026-03-01`.

    Raises:
        UnknownNameError: the text is not a day.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UnknownNameError(f"{text!r} is not a day", remedy="write 2026-03-01") from error
