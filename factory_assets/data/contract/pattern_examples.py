"""A text that matches the pattern of a column, as people write numbers, dates and times.

The patterns that `factory new` drafts for such columns are in `cli.new.written_forms`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import product

_NUMBERS = (
    *("1,234.5", "1.234,5", "1'234.5", "1\u2019234.5"),
    *("1 234,5", "1\u00a0234,5", "1\u202f234,5", "1 234.5", "1\u00a0234.5", "1\u202f234.5"),
)

_DAYS = (
    *("31.12.2024", "12/31/2024", "31/12/2024", "31-12-2024", "12-31-2024", "2024.12.31"),
    *("20241231", "2024-12-31", "2024-12", "12/2024", "31 Dec 2024", "31-Dec-2024", "Dec 31 2024"),
    "202412",
    *("Dec 31, 2024", "Dec 2024", "Dec-2024", "2024 Dec", "31 December 2024", "December 31 2024"),
    *("December 31, 2024", "December 2024", "31.12.24", "12/31/24", "31/12/24", "31-DEC-24"),
    *("Dec-24", "31. Dez 2024", "Dez 2024", "Dez 24", "2024-W52", "2024-Q4", "4. Quartal 2024"),
    "Di, 31.12.2024",
)

_CLOCKS = ("14:30:00", "14:30", "14:30:00.5", "02:30:00 PM", "02:30 PM")

_DURATIONS = ("38:30:00", "38:30")

_MOMENTS = (
    *(
        "20241231T143000",
        "2024123114",
        "202412311430",
        "20241231143000",
        "31/Dec/2024:14:30:00 +0000",
    ),
    *("Tue, 31 Dec 2024 14:30:00 +0000", "Tue, 31 Dec 2024 14:30:00 GMT"),
    *("Tue Dec 31 14:30:00 2024", "Tue Dec 31 14:30:00 +0000 2024", "2024-12-31 14:30:00,500"),
    *("31.12.2024, 14:30:00", "31.12.2024, 14:30", "31/12/2024, 14:30:00"),
    *("12/31/2024, 02:30:00 PM", "Dec 31 2024 02:30PM", "12/31/2024 02:30PM"),
    "2024/12/31 02:30:00 PM GMT",
    *("31.12.2024 14:30 Uhr", "31/12/2024 14h30", "2024-12-31T14:30:00.1234567Z"),
)

_SECONDS = ("1735603200", "1735603200000")

_EXCEL = ("45657",)
"""The last day of 2024."""

_IDENTIFIER = "Text"
"""What a pattern of names and codes matches, for which a number or a date is no example."""


@lru_cache(maxsize=1024)
def example_of(pattern: str, unit: str | None = None) -> str | None:
    """Return a number, a date or a time that matches; None if none does, or if any text may.

    Args:
        pattern: an expression of RE2.
        unit: of the column, which may stand beside its numbers.
    """
    try:
        matches = re.compile(pattern, re.ASCII).fullmatch
    except re.error:
        return None
    if matches(_IDENTIFIER):
        return None
    beside = [f"{n} {unit}" for n in _NUMBERS] + [f"{unit}{n}" for n in _NUMBERS] if unit else []
    moments = (f"{day} {clock}" for day, clock in product(_DAYS, _CLOCKS))
    texts = (*beside, *_NUMBERS, *_DAYS, *_CLOCKS, *_MOMENTS, *_SECONDS, *_DURATIONS)
    texts = (*texts, *_EXCEL, *moments)
    return next((text for text in texts if matches(text)), None)
