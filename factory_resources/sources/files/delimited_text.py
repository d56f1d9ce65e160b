"""Convert delimited text to Parquet: detect separator and columns of a file, store its cells."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from factory_resources.errors import SourceError
from factory_resources.sources.files.text_errors import (
    LONGEST,
    not_text,
    text_errors,
    too_long,
    too_wide,
    width_error,
)
from factory_resources.sql.engine import MOST_COLUMNS, file_literal, literal

if TYPE_CHECKING:
    import duckdb


_SAMPLE = 100
"""Lines that are examined to find the separator."""

_SEPARATOR_LINE = re.compile('"?sep=.?"?', re.IGNORECASE)
"""Blanks at its ends aside: the separator may be a tab."""

_SEPARATORS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class TextRules:
    """How text files are declared to be read; a delimiter of None is detected."""

    delimiter: str | None = None
    header: bool = True
    columns: tuple[str, ...] = ()
    encoding: str = "utf-8"
    skip: int = 0
    """Lines before the header, or before the first record, that are not read."""
    until: str = ""
    """How the line begins that, with all below it, is not read; empty to read to the end."""


@dataclass(frozen=True)
class Layout:
    """How the lines of one file are split into columns."""

    delimiter: str
    columns: tuple[str, ...]
    line_end: str = ""
    """The end of the first record, if its quotes hold another one; else the engine finds it."""
    multiline: bool = False
    """Whether a quoted value has several lines, and no quote is left open."""


def find_layout(head: bytes, name: str, rules: TextRules) -> Layout:
    """Detect from the first lines how the file is split into columns.

    Args:
        head: the first `LONGEST` bytes of the file, or all if there are fewer.

    Raises:
        SourceError: an empty file, a wrong encoding, a repeated or missing column name, too many
            columns.
    """
    if set(rules.delimiter or "") & set('\r\n"'):
        raise SourceError(
            f"cannot be split at {rules.delimiter!r}", where=name, remedy="set source.delimiter"
        )
    lines = _first_lines(head, name, rules)
    if not any(line.strip() for line in lines):
        what = f"has no line after the {rules.skip} skipped ones" if rules.skip else "is empty"
        remedy = "correct source.skip" if rules.skip else "fetch the file again"
        raise SourceError(what, where=name, remedy=remedy)
    if not rules.skip and (told := _SEPARATOR_LINE.fullmatch(lines[0].strip())):
        raise SourceError(
            f"begins with {told[0]}, which tells Excel what separates the values",
            where=f"{name}:1",
            remedy="set source.skip to 1, or remove the line",
        )
    if not lines[0].strip():
        # The engine would take it for the header, and the header for a record.
        raise SourceError(
            "begins with a blank line",
            where=f"{name}:{rules.skip + 1}",
            remedy=f"remove it, or set source.skip to {rules.skip + 1}",
        )
    try:
        delimiter = rules.delimiter or _find_delimiter(lines, name)
        first, line_end = _first_record(lines, delimiter)
    except (csv.Error, ValueError) as error:
        raise SourceError(
            f"is not delimited text ({error})", where=name, remedy="set source.delimiter and format"
        ) from error
    if len(first) > MOST_COLUMNS:
        raise too_wide(len(first), name)
    return Layout(delimiter, _names(first, name, rules), line_end)


def _first_lines(head: bytes, name: str, rules: TextRules) -> list[str]:
    """Return lines with their ends, without the engine: it objects to other ends inside quotes."""
    encoding = rules.encoding
    cut = len(head) == LONGEST
    try:
        text = decoder(encoding, head).decode(head, final=not cut)
    except UnicodeDecodeError as error:
        line = head.count(b"\n", 0, error.start) + 1
        raise not_text(f"{name}:{line}", encoding) from error
    lines = list(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    if cut and len(lines) == 1:
        raise too_long(f"{name}:1")
    return lines[rules.skip : min(rules.skip + _SAMPLE, len(lines) - cut)]


def decoder(encoding: str, head: bytes) -> codecs.IncrementalDecoder:
    """Return an encoding's decoder; UTF-16 without byte order mark is read as little-endian."""
    if encoding == "utf-16":
        encoding += "-be" if head.startswith(codecs.BOM_UTF16_BE) else "-le"
    return codecs.getincrementaldecoder(encoding)()


def _lines_sql(path: Path, rules: TextRules) -> str:
    # With a separator that no text contains, each line is one value.
    return (
        f"read_csv({file_literal(path)}, columns={{'line': 'VARCHAR'}}, delim='\x1f', quote='', "
        f"escape='', header=false, auto_detect=false, encoding={literal(rules.encoding)}, "
        "hive_partitioning=false)"
    )


def _find_delimiter(lines: list[str], name: str) -> str:
    """Prefer a separator that splits all lines into equally many columns; then the most columns.

    Of two that do, a comma is the decimal one. If none does, a line is damaged: then the one counts
    that splits most lines like the first.
    """
    lines = [line for line in lines if len(line) < csv.field_size_limit()] or lines
    widths = {separator: _widths(lines, separator) for separator in _SEPARATORS}

    def rank(separator: str) -> tuple[bool, bool, int]:
        even, width = len(set(widths[separator])) == 1, widths[separator][0]
        return even, even and width > 1 and separator != ",", width

    best = max(_SEPARATORS, key=rank)
    if widths[best][0] > 1:
        return best
    blanks = {len(line.split()) for line in lines if line.strip()}
    names_separator = any(end in name for end in (".csv", ".tsv", ".tab", ".psv"))
    if not names_separator and len(blanks) == 1 and blanks != {1}:
        return " "
    alike = {separator: found.count(found[0]) for separator, found in widths.items()}
    damaged = [s for s in _SEPARATORS if widths[s][0] > 1 and alike[s] > len(widths[s]) / 2]
    return max(damaged, key=lambda separator: (alike[separator], separator != ","), default=",")


def _widths(lines: list[str], separator: str) -> list[int]:
    # The last sampled line may be the beginning of a quoted value that continues.
    try:
        rows = [row for row in csv.reader(lines, delimiter=separator) if row]
    except csv.Error:
        # A field is as long as a line of thousands of columns: it is not split by this one.
        return [1]
    rows = rows[:-1] if len(lines) == _SAMPLE else rows
    first = len(rows[0]) if rows else 0
    # Some programs end each row with a separator, but not the header; the engine ignores it.
    return [len(row) - (len(row) == first + 1 and not row[-1]) for row in rows] or [0]


def fields_of(line: str, separator: str) -> list[str]:
    """Return the fields of a line; the whole line if one is longer than 128 KiB."""
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return [line]


def _first_record(lines: list[str], delimiter: str) -> tuple[list[str], str]:
    """Return the fields of the first record, and `Layout.line_end`."""
    if len(delimiter) > 1:
        return lines[0].rstrip("\r\n").split(delimiter), ""
    if delimiter == " ":
        return lines[0].split(), ""
    reader = csv.reader(lines, delimiter=delimiter)
    fields = next(reader)
    # The engine would take the first line end for that of all records, also one inside quotes.
    inside, end = (
        line[len(line.rstrip("\r\n")) :] for line in (lines[0], lines[reader.line_num - 1])
    )
    return fields, end if inside != end else ""


def _names(first: Sequence[str], name: str, rules: TextRules) -> tuple[str, ...]:
    if not rules.header:
        if rules.columns and len(rules.columns) != len(first):
            raise SourceError(
                f"has {len(first)} columns, but source.columns names {len(rules.columns)}",
                where=f"{name}:{rules.skip + 1}",
                remedy="name every column in order, and check source.delimiter",
            )
        return rules.columns or tuple(f"column_{i}" for i in range(1, len(first) + 1))
    names = tuple(
        field.strip().removeprefix("\ufeff") or f"column_{i}" for i, field in enumerate(first, 1)
    )
    most, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise SourceError(
            f"has {count} columns named {most!r}",
            where=f"{name}:{rules.skip + 1}",
            remedy="rename one of them in the file",
        )
    return names


def text_to_parquet(
    connection: "duckdb.DuckDBPyConnection",
    path: Path,
    name: str,
    rules: TextRules,
    layout: Layout,
    target: Path,
) -> None:
    """Store every cell as text, in columns `c0, c1, ...`, record by record in the file's order.

    Raises:
        SourceError: a row with another number of columns, a quote that is not closed, a wrong
            encoding, a damaged file.
    """
    if layout.delimiter == " ":
        query = _blank_separated(path, rules)
        _check_widths(connection, query, name, rules, layout)
        cells = ", ".join(f"fields[{i + 1}] AS c{i}" for i in range(len(layout.columns)))
        query = f"SELECT {cells} FROM ({query})"
    else:
        query = f"SELECT * FROM {cells_sql(path, rules, layout)}"
    with text_errors(name, rules.encoding, path, layout.delimiter):
        # The file is read once and discarded: a dictionary of its cells costs more than it saves.
        options = "FORMAT parquet, DICTIONARY_SIZE_LIMIT 1"
        connection.execute(f"COPY ({query}) TO {literal(str(target))} ({options})")


def cells_sql(path: Path, rules: TextRules, layout: Layout) -> str:
    """Return the table expression for the cells of a file that is not separated by blanks.

    Their columns are `c0, c1, ...`, all of them text.
    """
    types = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(layout.columns)))
    end = layout.line_end.replace("\r", "\\r").replace("\n", "\\n")
    line_end = f", new_line={literal(end)}" if end else ""
    # Where a second thread begins to read, a line of a value would look like a record.
    alone = ", parallel=false" if layout.multiline else ""
    return (
        f"read_csv({file_literal(path)}, columns={{{types}}}, "
        f"delim={literal(layout.delimiter)}, quote='\"', escape='\"', "
        f"header={rules.header}, skip={rules.skip}, auto_detect=false, "
        f"encoding={literal(rules.encoding)}, hive_partitioning=false{line_end}{alone})"
    )


def _blank_separated(path: Path, rules: TextRules) -> str:
    return (
        r"SELECT string_split_regex(trim(line, E' \t\r'), '\s+') AS fields, row FROM "
        f"(SELECT line, row_number() OVER () AS row FROM {_lines_sql(path, rules)}) "
        rf"WHERE row > {rules.skip + int(rules.header)} AND trim(line, E' \t\r') <> ''"
    )


def _check_widths(
    connection: "duckdb.DuckDBPyConnection",
    query: str,
    name: str,
    rules: TextRules,
    layout: Layout,
) -> None:
    width = len(layout.columns)
    with text_errors(name, rules.encoding):
        row = connection.execute(
            f"SELECT row, len(fields) FROM ({query}) WHERE len(fields) <> {width} LIMIT 1"
        ).fetchone()
    if row:
        raise width_error(f"{name}:{row[0]}", width, row[1])
