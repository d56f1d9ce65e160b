"""Errors of text files in one line: which file, which line, what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from mmap import ACCESS_READ, mmap
from pathlib import Path

from factory_resources.errors import EncodingError, SourceError
from factory_resources.sources.files.record_lines import open_lines, records
from factory_resources.sql.engine import MOST_COLUMNS, engine_errors

LONGEST = 2_000_000
"""Bytes of the longest line that the engine reads."""

_LINE = re.compile(r"CSV Error on Line: (\d+)")

_JSON = re.compile(r"Malformed JSON .* in line (\d+): ([^\n]*)")

_WIDTH = re.compile(r"Expected Number of Columns: (\d+) Found: (\d+)")


@contextmanager
def text_errors(
    name: str, encoding: str, path: Path | None = None, delimiter: str = ""
) -> Iterator[None]:
    """Reduce DuckDB's errors about a text file to one line with file, line number and remedy.

    Args:
        path: the file in which the line is looked up; None to name only the file.
        delimiter: of delimited text.

    Raises:
        SourceError: a fault of the file.
        StorageError: a fault of disk or memory.
    """
    import duckdb

    try:
        with engine_errors(name, SourceError, "check the file"):
            yield
    except SourceError as error:
        cause = error.__cause__
        if not isinstance(cause, duckdb.Error):
            raise
        # The rest of the message lists the options of the reader, not what is wrong.
        message = str(cause).partition("\n  file =")[0].partition("\nPossible")[0]
        line = _line_number(message, path, encoding, delimiter)
        raise _translate_error(message, name, line, encoding, error) from cause


def _line_number(message: str, path: Path | None, encoding: str, delimiter: str) -> int | None:
    """Return the line of the file that an error is about; None if it does not say."""
    if path and "invalid state" in message:
        return _first_other_line_end(path)
    if path and (found := _JSON.search(message)):
        return _json_line(path, encoding, int(found[1]))
    if not (found := _LINE.search(message)):
        return None
    counted = int(found[1])
    if path is None or counted == 1:
        return counted
    # The engine counts a record as one line, however many its quoted values have.
    with open_lines(path, encoding, errors="replace") as text:
        before = next(islice(records(text, delimiter, blank=True), counted - 2, None), None)
    return before[1] + 1 if before else counted


def _json_line(path: Path, encoding: str, counted: int) -> int | None:
    """Return the line of a record that is not JSON.

    The engine counts the records up to it, without blank lines, and one more.
    """
    with open_lines(path, encoding, errors="replace") as text:
        lines = (number for number, line in enumerate(text, 1) if line.strip())
        return next(islice(lines, max(0, counted - 2), None), None)


def _first_other_line_end(path: Path) -> int:
    """Return the number of the first line that ends unlike the one before, quoted ends aside."""
    number, before = 1, b""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        for found in (one[0] for one in re.finditer(rb'"[^"]*"|\r\n|\r|\n', content)):
            if not found.startswith(b'"'):
                if before not in (b"", found):
                    break
                before = found
            number += len(re.findall(b"\r\n|\r|\n", found))
    return number


def _translate_error(
    message: str, name: str, line: int | None, encoding: str, default: SourceError
) -> SourceError:
    where = name if line is None else f"{name}:{line}"
    if width := _WIDTH.search(message):
        return width_error(where, width[1], width[2])
    if "Maximum line size" in message:
        return too_long(where)
    if any(phrase in message.lower() for phrase in ("unicode", "utf-8", "not latin-1")):
        return not_text(where, encoding)
    if malformed := _JSON.search(message):
        # The advice after the reason is about options of the engine.
        reason = malformed[2].partition(". ")[0].strip(" .")
        return SourceError(
            f"is not one JSON object per line ({reason})", where=where, remedy="correct the line"
        )
    if "invalid state" in message:
        return SourceError(
            "has line ends of several kinds, or is not regular text",
            where=where,
            remedy="write it again with one kind of line end",
        )
    if "quote" in message:
        return SourceError(
            "has a quoted value that never ends or continues after its closing quote",
            where=where,
            remedy="correct the row; write a quote inside a quoted value twice",
        )
    return default


def width_error(where: str, expected: int | str, actual: int | str) -> SourceError:
    return SourceError(
        f"has {actual} columns in this row, not {expected}",
        where=where,
        remedy="correct the row, or check source.delimiter and quotes around the separator",
    )


def not_text(where: str, encoding: str) -> EncodingError:
    return EncodingError(
        f"is not {encoding} text",
        where=where,
        remedy="set source.encoding to utf-8, windows-1252, latin-1 or utf-16",
    )


def too_wide(columns: int, name: str) -> SourceError:
    return SourceError(
        f"has {columns:,} columns, more than {MOST_COLUMNS:,}",
        where=name,
        remedy="keep those that matter in a file of their own",
    )


def too_long(where: str) -> SourceError:
    return SourceError(
        f"has a line of more than {LONGEST:,} bytes",
        where=where,
        remedy="check its quotes and line ends, or provide the data as Parquet or JSON Lines",
    )
