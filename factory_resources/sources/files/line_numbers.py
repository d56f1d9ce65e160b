"""Find the physical lines of a record in a text file, exactly or not at all."""

from collections.abc import Iterable, Iterator
from itertools import islice, takewhile
from pathlib import Path

from factory_resources.errors import FactoryError
from factory_resources.sources.files.archives import first_bytes, take_member, unpack
from factory_resources.sources.files.arff import data_lines
from factory_resources.sources.files.delimited_text import Layout, TextRules, find_layout
from factory_resources.sources.files.discovery import Format, format_of
from factory_resources.sources.files.record_lines import Lines, open_lines, records
from factory_resources.sources.files.text_errors import LONGEST


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
    """Return the lines of one record of a text file, counted in the unpacked file.

    Args:
        path: the file.
        record: number of the record, from 1.
        rows: number of records when the file was ingested.
        scratch: an empty folder.

    Returns:
        None if the file has no lines, or if they do not give `rows` records.
    """
    try:
        return _nth_lines(_lines_of_file(path, scratch, declared, member, rules), record, rows)
    except (FactoryError, UnicodeError):
        return None


def record_at(
    path: Path,
    line: int,
    scratch: Path,
    *,
    declared: Format | None = None,
    member: str | None = None,
    rules: TextRules,
) -> int | None:
    """Return the number of the record that a line of a text file belongs to, from 1.

    A line before the first record, such as a header, belongs to the first one.

    Returns:
        None if the file has no lines, or none of them is that far down.
    """
    try:
        every = enumerate(_lines_of_file(path, scratch, declared, member, rules), 1)
        return next((number for number, (_, last) in every if last >= line), None)
    except (FactoryError, UnicodeError):
        return None


def _lines_of_file(
    path: Path, scratch: Path, declared: Format | None, member: str | None, rules: TextRules
) -> Iterator[Lines]:
    """Yield the lines of every record; none if the file has no lines."""
    name = path.name
    kind, packing = format_of(name, declared)
    if packing == "zip":
        path, inner = take_member(path, name, member, scratch)
        name = f"{name}/{inner}"
        kind, packing = format_of(inner, declared)
    if kind not in {"csv", "jsonl", "arff"}:
        return
    if packing != "plain":
        path = unpack(path, name, packing, scratch)
    head = first_bytes(path, name, "plain", LONGEST)
    layout = find_layout(head, name, rules) if kind == "csv" else None
    with open_lines(path, rules.encoding) as text:
        if kind == "arff":
            yield from ((n, n) for n in data_lines(text))
        else:
            yield from _lines_of_text(text, layout, rules)


def _until(text: Iterator[str], beginning: str) -> Iterator[str]:
    """Yield the lines before the first one that begins like that; all if it is empty."""
    return takewhile(lambda line: not line.startswith(beginning), text) if beginning else text


def _lines_of_text(
    lines: Iterator[str], layout: Layout | None, rules: TextRules
) -> Iterator[Lines]:
    skipped = sum(1 for _ in islice(lines, rules.skip if layout else 0))
    text = _until(lines, rules.until if layout else "")
    if layout is None or layout.delimiter == " ":
        all_lines = _non_blank(text)
    else:
        all_lines = records(text, layout.delimiter, blank=len(layout.columns) == 1)
    if layout and rules.header:
        next(all_lines, None)
    for first, last in all_lines:
        yield first + skipped, last + skipped


def _nth_lines(all_lines: Iterator[Lines], record: int, rows: int) -> Lines | None:
    """Return the lines of a record; None if there are not as many records as there should be."""
    result, count = None, 0
    for count, lines in enumerate(all_lines, 1):
        if count == record:
            result = lines
    return result if count == rows else None


def _non_blank(text: Iterable[str]) -> Iterator[Lines]:
    """Yield the lines that are not blank; each is a record."""
    return ((n, n) for n, line in enumerate(text, 1) if line.strip())
