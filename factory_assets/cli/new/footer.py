"""Recognise lines below the last row of a text file: totals, and notes about the export.

Lines above the first row belong in `header`.
"""

import re
from collections.abc import Sequence

_TOTALS = frozenset(
    ("total", "totals", "sum", "summe", "gesamt", "gesamtsumme", "insgesamt", "zwischensumme")
)

_MOST = 10
"""Most lines below the last row."""

_BEGINNING = re.compile(r"[^0-9;,\t|]+")
"""What stays the same in the next file: text before the first number or separator."""


def sign_of_end(lines: Sequence[str], number: int) -> str:
    """Return how the line begins at which the rows end; empty if it is a row like others.

    Args:
        lines: all lines of the file.
        number: of the first line, from 1, that is no row.
    """
    if not len(lines) - _MOST <= number <= len(lines):
        return ""
    begins = _BEGINNING.match(lines[number - 1])
    sign = begins[0].rstrip() if begins else ""
    return "" if any(line.startswith(sign) for line in lines[: number - 1]) else sign


def count_totals(rows: Sequence[Sequence[object]]) -> int:
    """Return how many of the last rows are totals, or have a note in place of a row.

    Args:
        rows: the last rows, with their cells as text.
    """
    count = 0
    for row in reversed(rows):
        cells = [str(cell) for cell in row if cell not in (None, "")]
        words = re.findall(r"[^\W\d_]+", cells[0].casefold()) if cells else []
        is_total = bool(_TOTALS.intersection(words)) and len(cells) < len(row)
        if not is_total and not (len(cells) == 1 < len(row) - 1):
            break
        count += 1
    return count if count < len(rows) else 0
