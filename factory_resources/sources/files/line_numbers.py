"""Where in a text file a record stands: its physical lines, counted exactly or not at all."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from factory_resources.errors import FactoryError
from factory_resources.sources.files.archives import first_bytes, take_member, unpack
from factory_resources.sources.files.delimited_text import LONGEST, Layout, TextRules, find_layout
from factory_resources.sources.files.discovery import Format, format_of

Lines = tuple[int, int]
"""The first and the last line of a record, from 1."""


def lines_of(
    path: Path,
    record: int,
    rows: int,
    scratch: Path,
    *,
    declared: Format | None = None,
    member: str | None = None,
    rules: TextRules,
) -> Lines | None:
    """The lines of one record of a file of text, as it is when unpacked.

    Args:
        path: the file.
        record: which record, from 1.
        rows: how many records it was read as.
        scratch: an empty folder.

    Returns:
        None where the file has no lines, or they are not counted as they were when it was read.
    """
    try:
        name = path.name
        kind, packing = format_of(name, declared)
        if packing == "zip":
            path, inner = take_member(path, name, member, scratch)
            name = f"{name}/{inner}"
            kind, packing = format_of(inner, declared)
        if kind not in {"csv", "jsonl"}:
            return None
        if packing != "plain":
            path = unpack(path, name, packing, scratch)
        head = first_bytes(path, name, "plain", LONGEST)
        layout = find_layout(head, name, rules) if kind == "csv" else None
        with _open(path, head, rules.encoding) as text:
            return _found(text, record, rows, layout, rules.header)
    except (FactoryError, UnicodeError):
        return None


def _found(
    text: TextIO, record: int, rows: int, layout: Layout | None, header: bool
) -> Lines | None:
    if layout is None or layout.delimiter == " ":
        places = _filled(text)
    else:
        places = records(text, layout.delimiter, blank=len(layout.columns) == 1)
    if layout and header:
        next(places, None)
    found, count = None, 0
    for count, lines in enumerate(places, 1):
        if count == record:
            found = lines
    return found if count == rows else None


def _open(path: Path, head: bytes, encoding: str) -> TextIO:
    # A file has one kind of line end; the other kind may stand inside quotes.
    newline = "\r" if b"\r" in head and b"\n" not in head else "\n"
    return path.open(encoding=encoding.replace("utf-8", "utf-8-sig"), newline=newline)


def _filled(text: TextIO) -> Iterator[Lines]:
    """Lines that hold something, each a record."""
    return ((n, n) for n, line in enumerate(text, 1) if line.strip())


def records(text: TextIO, delimiter: str, *, blank: bool) -> Iterator[Lines]:
    """The lines of every record of separated text, that of the names included.

    Args:
        blank: whether a blank line is a record; it is where there is a single column.
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
    """Whether a quoted value goes on after the line."""
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
