"""Words about time: whether a cron expression can ever fire, whether a time zone exists."""

import re
from zoneinfo import ZoneInfo

_NAMES = {
    name: str(number)
    for names, first in (
        ("jan feb mar apr may jun jul aug sep oct nov dec", 1),
        ("sun mon tue wed thu fri sat", 0),
    )
    for number, name in enumerate(names.split(), first)
}
_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 7),
)
_AT = ("@hourly", "@daily", "@weekly", "@monthly", "@yearly")
_PART = re.compile(r"^(\*|\d+(?:-\d+)?)(?:/(\d+))?$")


def check_cron(value: str) -> str:
    """Return `value` unchanged.

    Raises:
        ValueError: naming the field that is wrong and what it may hold.
    """
    if value in _AT:
        return value
    fields = value.lower().split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"cron {value!r} has {len(fields)} fields, not 5 (minute hour day month weekday), "
            f"and is none of {', '.join(_AT)}"
        )
    for field, (name, low, high) in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            _check_part(part, f"cron {value!r}: {name} {field!r}", low, high)
    return value


def _check_part(part: str, where: str, low: int, high: int) -> None:
    match = _PART.match(re.sub(r"[a-z]{3}", lambda m: _NAMES.get(m[0], m[0]), part))
    if not match:
        raise ValueError(f"{where} is not `*`, a number, a range or a list, with an optional /step")
    numbers = [int(n) for n in match[1].split("-")] if match[1] != "*" else []
    if any(not low <= n <= high for n in numbers) or numbers != sorted(numbers):
        raise ValueError(f"{where} must lie between {low} and {high}")
    if match[2] == "0":
        raise ValueError(f"{where}: a step of 0 never fires")


def check_timezone(value: str) -> str:
    """Return `value` unchanged.

    Raises:
        ValueError: for a name that no time zone has.
    """
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(
            f"unknown time zone {value!r}; use a name such as Europe/Berlin"
        ) from error
    return value
