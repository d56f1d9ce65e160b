"""Decide whether the first line of a text file names its columns, or is a row already.

The engine's own guess is not used: it depends on types alone, and takes a line of texts for names.
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from factory_assets.data.contract.sql_types import is_number
from factory_resources.errors import SourceError
from factory_resources.sources.files.delimited_text import fields_of

MISSING_TOKENS = ("?", "NA", "N/A", "n/a", "<NA>", "#N/A", "NaN", "nan", "NULL", "null")
"""Tokens that mean "no value" in any column."""

_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T]\d{1,2}:\d{2}.*)?")

_NUMERIC = re.compile(r"[^\w\s]{0,2}\d[\d.,'\u2019 /:%-]*$|[+-]?\d[\d.,]*[eE]")
"""A number or a date, however it is written."""

_BRACKETS = re.compile(r"[\[(].*[\])]")

_NO_UNIT = "-"
"""What a line of units has below the name of what has none."""

_SEPARATORS = ",;\t|"

_PAIR = 2

_MOST = 0.95
"""Share of a column's values that decides what it contains."""

_FEW = 20
"""A text with at most this many different values is a category: a row has one of them."""

_YEARS = (1800, 2200)


def is_header(first: Sequence[str], rows: Sequence[Sequence[object]]) -> bool:
    """Return whether the first line names the columns, judged by the rows below it.

    A number above numbers, and a text that occurs again below, belong to a row. A text above
    numbers is a name, however these are written. Numbers that run on, such as years or wavelengths,
    are names too. Lines that say all of the first one again do not count: files are put one behind
    another.
    """
    rows = _without_repeats(first, rows)
    for_row, for_names = 0, 0
    labels: list[float] = []
    for place, cell in enumerate(first):
        text = cell.strip()
        values = [value for row in rows if (value := _text(row[place]))]
        if not values or not _text(text) or text == f"column_{place + 1}":
            continue
        if _mostly(is_number, values):
            if not is_number(text):
                for_names += 3
            elif not _is_year_above(text, values):
                labels.append(float(text))
        elif _mostly(_is_date, values):
            for_row, for_names = for_row + 2 * _is_date(text), for_names + 3 * (not _is_date(text))
        elif _mostly(is_written_number, values):
            # Such as 0,75 and 47%. A plain number above them may be a year, and tells nothing.
            for_row += 2 * (is_written_number(text) and not is_number(text))
            for_names += 3 * (not is_written_number(text))
        elif text in values:
            for_row += 2
        elif len(set(values)) <= _FEW:
            for_names += 1
    if not _run_on(labels):
        for_row += 2 * len(labels)
    return for_names >= for_row


def _without_repeats(
    first: Sequence[str], rows: Sequence[Sequence[object]]
) -> Sequence[Sequence[object]]:
    """Return the rows without those that say all of the first line, if that has a text where the
    others have numbers."""
    line = [cell.strip() for cell in first]
    others = [row for row in rows if [str(cell or "").strip() for cell in row] != line]
    for place, text in enumerate(line):
        values = [value for row in others if (value := _text(row[place]))]
        if text and values and not is_written_number(text) and _mostly(is_written_number, values):
            return others
    return rows


def joined_headers(
    first: Sequence[str], second: Sequence[object], rows: Sequence[Sequence[object]]
) -> tuple[str, ...]:
    """Return the names of two header lines together; none if the second one is a row.

    It is a header if it has words above numbers, and no number itself. They are units, unless a
    blank cell of the first line stands beside the name that is above both.
    """
    below = ["" if (text := _text(cell)) == _NO_UNIT else text for cell in second]
    if any(map(is_written_number, below)):
        return ()
    values = [[value for row in rows if (value := _text(row[i]))] for i in range(len(below))]
    above_numbers = [
        bool(cell) and _mostly(is_written_number, column)
        for cell, column in zip(below, values, strict=True)
        if column
    ]
    if sum(above_numbers) < 2 or any(
        cell and cell in column for cell, column in zip(below, values, strict=True)
    ):
        return ()
    blank = [cell.strip() in ("", f"column_{place}") for place, cell in enumerate(first, 1)]
    merged = any(is_blank and under for is_blank, under in zip(blank, below, strict=True))
    names, left = [], ""
    for cell, is_blank, under in zip(first, blank, below, strict=True):
        left = left if is_blank and under else cell.strip()
        is_unit = under and not merged and " " not in under and not _BRACKETS.fullmatch(under)
        names.append(f"{left} {f'[{under}]' if is_unit else under}".strip())
    return tuple(names)


def names_beside_row_names(
    line: str, rows: Sequence[Sequence[object]], where: str
) -> tuple[str, ...]:
    """Return the names of a header line that has none for the first column, or that alone ends with
    a separator; none if it has as many as the rows have columns.

    Args:
        line: the line above the rows.
        rows: the first rows.
        where: file and line, for the error.

    Raises:
        SourceError: it lacks names, other than that of a first column that names each row.
    """
    width = len(rows[0])
    for fields in (*(fields_of(line, separator) for separator in _SEPARATORS), line.split()):
        if len(fields) == width + 1 and not fields[-1].strip() and _are_names(fields[:-1]):
            return tuple(cell.strip() for cell in fields[:-1])
        if not width / 2 < len(fields) < width or not _are_names(fields):
            continue
        if len(fields) < width - 1 or len({row[0] for row in rows}) < len(rows):
            raise SourceError(
                f"has {len(fields)} names above rows of {width} values",
                where=where,
                remedy="name each column; if commas are both in numbers and between columns, "
                "separate these by semicolons",
            )
        return ("row", *(cell.strip() for cell in fields))
    return ()


def lines_above(lines: Sequence[str]) -> int:
    """Return how many lines stand above the first one with as many cells as nearly all below it, as
    what a device writes about itself; 0 if no separator tells, or if they may be rows."""
    found = []
    for separator in _SEPARATORS:
        widths = [len(fields_of(line, separator)) for line in lines]
        width = max(set(widths), key=widths.count, default=1)
        first = widths.index(width) if width > 1 else 0
        below = [one for one in widths[first:] if one]
        # A device tells names with a value each; lines of more cells are rows.
        are_rows = 2 * sum(one > _PAIR for one in widths[:first]) > first
        if width > 1 and not are_rows and below.count(width) >= _MOST * len(below):
            found.append(first)
    # A comma in each number is no separator: the names above them have none.
    return min(found, default=0)


def is_line_of_names(line: str, rows: Sequence[str]) -> bool:
    """Whether a line has different names, and most lines of rows have as many cells."""
    for separator in _SEPARATORS:
        names = fields_of(line, separator)
        if len({*names}) == len(names) > 1 and _are_names(names):
            fitting = sum(len(fields_of(row, separator)) == len(names) for row in rows)
            if fitting >= _MOST * len(rows):
                return True
    return False


def _are_names(cells: Sequence[str]) -> bool:
    return all(cell.strip() for cell in cells) and not any(map(is_number, cells))


def is_title(first: Sequence[str], rows: Sequence[Sequence[object]]) -> bool:
    """Whether at most one of several cells has text, as in the line of a title or a blank one.

    So have few cells of a line such as `Station;Berlin;;;`, if the line below has no more, but
    others have.
    """
    named = [cell for place, cell in enumerate(first, 1) if cell not in ("", f"column_{place}")]
    if len(first) < 3 or len(named) < 2:
        return len(first) > 2
    few = len(first) // 2
    filled = [sum(bool(_text(cell)) for cell in row) for row in rows]
    return max([len(named), *filled[:1]]) <= few < max(filled, default=0)


def is_all_numbers(cells: Sequence[object]) -> bool:
    """Whether every cell is a number or a token that means "no value"."""

    def fits(text: str) -> bool:
        try:
            float(text)
        except ValueError:
            return text in MISSING_TOKENS
        return True

    return all(fits(str(cell).strip()) for cell in cells)


def is_written_number(text: str) -> bool:
    """Whether a text is a number or a date, however it is written."""
    return bool(_NUMERIC.match(text))


def _text(cell: object) -> str:
    text = "" if cell is None else str(cell).strip()
    return "" if text in MISSING_TOKENS else text


def _mostly(fits: Callable[[str], bool], values: Sequence[str]) -> bool:
    return sum(map(fits, values)) >= _MOST * len(values)


def _is_date(text: str) -> bool:
    return bool(_DATE.fullmatch(text))


def _is_year_above(text: str, values: Sequence[str]) -> bool:
    """Whether a cell is a year, and the values below are something else."""

    def is_year(value: str) -> bool:
        return value.isdecimal() and _YEARS[0] <= int(value) <= _YEARS[1]

    return is_year(text) and not _mostly(is_year, values)


def _run_on(labels: Sequence[float]) -> bool:
    """Whether numbers increase, evenly or over at least four columns."""
    steps = [after - before for before, after in pairwise(labels)]
    if len(steps) < 2 or min(steps) <= 0:
        return False
    return len(steps) > 2 or abs(steps[0] - steps[1]) < 1e-9
