"""The lines of each record of delimited text, whose quoted values may contain line ends.

What kind of file it is, and which of its lines are not records, is decided in `line_numbers`.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

Lines = tuple[int, int]
"""The first and the last line of a record, from 1."""

_SAMPLE = 2_000_000
"""Bytes in which the kind of line end is detected."""


def open_lines(path: Path, encoding: str, errors: str = "strict") -> TextIO:
    """Open a text file to read its physical lines.

    Args:
        errors: what is done with bytes that the encoding does not have, as for `open`.
    """
    with path.open("rb") as file:
        head = file.read(_SAMPLE)
    # A file has one kind of line end; the other kind may occur inside quotes.
    newline = "\r" if b"\r" in head and b"\n" not in head else "\n"
    codec = encoding.replace("utf-8", "utf-8-sig")
    return path.open(encoding=codec, errors=errors, newline=newline)


def records(text: Iterable[str], delimiter: str, *, blank: bool) -> Iterator[Lines]:
    """Yield the lines of every record of delimited text, the header included.

    Args:
        blank: whether a blank line is a record, as it is if there is a single column.
    """
    opening = re.compile(' *"')
    later = re.compile(re.escape(delimiter) + ' *"')
    first, inside = 1, False
    for number, line in enumerate(text, 1):
        if not inside:
            first = number
        if inside or '"' in line:
            inside = _ends_inside(line, inside, opening, later)
        if not inside and (blank or first != number or line.strip("\r\n")):
            yield first, number


def _ends_inside(line: str, inside: bool, opening: re.Pattern[str], later: re.Pattern[str]) -> bool:
    """Whether a quoted value continues after the line."""
    place = 0
    if not inside and (quote := opening.match(line)):
        inside, place = True, quote.end()
    while True:
        if not inside:
            quote = later.search(line, place)
            if quote is None:
                return False
            place = quote.end()
        end = line.find('"', place)
        while end >= 0 and line[end + 1 : end + 2] == '"':
            end = line.find('"', end + 2)
        if end < 0:
            return True
        inside, place = False, end + 1
