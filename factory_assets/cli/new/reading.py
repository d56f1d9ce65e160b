"""Find the rules by which a data file is read: encoding, header line, title lines, member of a zip.

What its columns contain belongs in `profile`.
"""

import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from tempfile import mkdtemp

from factory_assets.cli.new.footer import (
    count_totals,
    is_sum,
    may_be_below,
    may_be_sum,
    sign_of_end,
)
from factory_assets.cli.new.header import (
    is_all_numbers,
    is_header,
    is_line_of_names,
    is_title,
    joined_headers,
    lines_above,
    names_beside_row_names,
)
from factory_resources.errors import EncodingError, SourceError
from factory_resources.sources.files.archives import zip_members
from factory_resources.sources.files.delimited_text import TextRules
from factory_resources.sources.files.discovery import File, conversion, format_of
from factory_resources.sources.files.reader import SourceTable, parquet, read_file
from factory_resources.sql.shared_engines import SharedEngines

_HEAD = 2000
"""Rows by which a header line is recognised."""

_BEGINNING = 200
"""Lines by which those are found that a device writes above the header."""

_TITLES = 5
"""Most lines above the header, such as a title and a blank one, that may look like rows."""

_LARGE = 64 * 1024**2
"""Bytes of a text whose lines are looked at one by one."""

_ENCODINGS = ("utf-8", "windows-1252")
"""Text in Latin-1 is Windows-1252 without €, which the next file may have."""

_MARK = (b"\xff\xfe", b"\xfe\xff")
"""The first bytes of UTF-16."""


def require_data_file(path: Path) -> None:
    """Require a file whose format its name shows, or a zip.

    Raises:
        SourceError: there is none, or the zip is damaged.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not a file"
        raise SourceError(what, where=str(path), remedy="name the data file")
    if is_data_file(path.name):
        return
    # A workbook is a zip too.
    if remedy := conversion(path):
        what = "has a format that the factory does not read"
        raise SourceError(what, where=str(path), remedy=remedy)
    if path.suffix.lower() == ".zip":
        zip_members(path, str(path))
    elif not zipfile.is_zipfile(path):
        raise SourceError(
            "its format cannot be derived from its name",
            where=str(path),
            remedy="rename it to end in .csv, .tsv, .txt, .parquet, .jsonl or .arff",
        )


def data_members(path: Path) -> list[str]:
    """Return the data files of a zip with several files, the largest first; none if there is no
    choice.

    Raises:
        SourceError: no file in the zip is a data file, or the zip is damaged.
    """
    if not zipfile.is_zipfile(path):
        return []
    infos = zip_members(path, str(path))
    sizes = {info.filename: info.file_size for info in infos if is_data_file(info.filename)}
    if not sizes:
        raise SourceError(
            "holds no data file",
            where=str(path),
            remedy="name a zip with a .csv, .tsv, .txt, .parquet, .jsonl or .arff",
        )
    return sorted(sizes, key=lambda name: -sizes[name]) if len(infos) > 1 else []


def is_data_file(name: str) -> bool:
    """Whether the name of a file shows the format of data, other than a zip."""
    try:
        return format_of(name)[1] != "zip"
    except SourceError:
        return False


def read_by_fitting_rules(
    path: Path, member: str | None, scratch: Path, engines: SharedEngines
) -> tuple[SourceTable, TextRules]:
    """Read the file by the first fitting rules: with a header unless the first line is a row.

    Args:
        path: the file.
        member: which file of a zip with several.
        scratch: where the rows are stored.
        engines: they see `scratch`.

    Raises:
        SourceError: no rules fit; the error of the first attempt.
    """
    with path.open("rb") as content:
        marked = content.read(2) in _MARK
    file = File(engines.visible_path(path, scratch), str(path))
    not_encoded = None
    for encoding in ("utf-16",) if marked else _ENCODINGS:
        try:
            return _read(_Text(file, member, encoding, scratch, engines))
        except EncodingError as error:
            not_encoded = not_encoded or error
    assert not_encoded is not None
    raise not_encoded


@dataclass(frozen=True)
class _Text:
    """A file that may be text in an encoding."""

    file: File
    member: str | None
    encoding: str
    scratch: Path
    engines: SharedEngines

    def read(self, rules: TextRules) -> SourceTable:
        folder = Path(mkdtemp(dir=self.scratch))
        return read_file(self.file, folder, member=self.member, rules=rules, engines=self.engines)

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the file; none if it is packed or large."""
        path = self.file.path
        if path.stat().st_size > _LARGE or format_of(path.name)[1] != "plain":
            return []
        text = path.read_bytes().decode(self.encoding, errors="replace")
        return text.removeprefix("\ufeff").splitlines()


def _read(text: _Text, until: str = "") -> tuple[SourceTable, TextRules]:
    first_error: SourceError | None = None
    for rules in _attempts(text, until):
        if 0 < rules.skip <= _TITLES and first_error and not _is_near_top(first_error):
            continue
        try:
            raw = text.read(rules)
        except EncodingError:
            raise
        except SourceError as error:
            if not until and (sign := _misfit(text, _line_of(error))):
                return _read(text, sign)
            first_error = first_error or error
            continue
        fitting = rules if raw.format != "csv" else _fitting(text, raw, rules)
        if fitting and first_error and _loses_rows(text, raw, fitting):
            raise first_error
        if fitting and (sign := _totals(text, raw, until)):
            return _read(text, sign)
        if fitting:
            return (raw if fitting == rules else text.read(fitting)), fitting
        first_error = first_error or _not_names(f"{raw.name}:1")
    assert first_error is not None
    raise first_error


def _fitting(text: _Text, raw: SourceTable, rules: TextRules) -> TextRules | None:
    """Return the rules that fit a text that can be read; None if it does not begin like this."""
    first, rows = _first_lines(text, raw, rules)
    if is_title(first, rows) or (len(first) == 1 and _are_split(rows)):
        return None
    if not rules.skip and _counts_rows(first, raw.rows):
        return replace(rules, skip=1, header=False)
    is_name = not is_all_numbers(first) and is_header(first, rows)
    if is_name and rows:
        above = rules.skip + _lines_of(first)
        names, below = tuple(first), rows
        while below and (joined := joined_headers(names, below[0], below[1:])):
            names, above, below = joined, above + _lines_of(below[0]), below[1:]
        if below is not rows:
            return replace(rules, skip=above, header=False, columns=_distinct(names))
        if not rules.header and _repeated(first):
            return replace(rules, skip=above, columns=_distinct(first))
    if rules.header != is_name or (rules.skip and len(first) < 2):
        return None
    if rules.skip and not is_name and len(text.lines) > rules.skip:
        where = f"{raw.name}:{rules.skip}"
        names = names_beside_row_names(text.lines[rules.skip - 1], [first, *rows], where)
        return replace(rules, columns=_distinct(names))
    return rules


def _loses_rows(text: _Text, raw: SourceTable, rules: TextRules) -> bool:
    """Whether the lines that are skipped are no title: the names of the columns and a row that
    has too few cells or too many, or all that the file has."""
    if not rules.skip:
        return False
    if not raw.rows:
        return True
    named = rules.header or rules.columns
    above, below = text.lines[: rules.skip], text.lines[rules.skip :][:_HEAD]
    return not named and any(is_line_of_names(line, below) for line in above)


def _lines_of(cells: Sequence[object]) -> int:
    """Return how many lines a row takes: a cell in quotes may have several."""
    return 1 + sum(str(cell).count("\n") for cell in cells)


def _misfit(text: _Text, number: int) -> str:
    """Return how a line begins that cannot be a row, if all rows are above it; else empty."""
    sign = sign_of_end(text.lines, number) if number else ""
    return sign if sign and may_be_below(text.lines[number - 1]) else ""


def _totals(text: _Text, raw: SourceTable, until: str) -> str:
    """Return how the first line of totals below the last row begins; empty if there is none."""
    if raw.format != "csv" or not text.lines:
        return ""
    with text.engines.sealed(read=[raw.path], write=text.scratch) as connection:
        every = f"FROM {parquet(raw.path)}"
        last = connection.execute(f"{every} OFFSET {max(raw.rows - _HEAD, 0)}").fetchall()
        count = count_totals(last)
        if not count and last and may_be_sum(last):
            count = int(is_sum(connection.execute(every).fetchall()))
    read = takewhile(lambda line: not (until and line.startswith(until)), text.lines)
    numbers = [number for number, line in enumerate(read, 1) if line.strip()]
    return sign_of_end(text.lines, numbers[-count]) if count else ""


def _not_names(where: str) -> SourceError:
    what = "begins with a row instead of column names"
    return SourceError(what, where=where, remedy="add a header line")


def _attempts(text: _Text, until: str) -> Iterator[TextRules]:
    above = lines_above(text.lines[:_BEGINNING])
    for delimiter in (None, " ") if _are_numbers_between_blanks(text.lines) else (None,):
        for skip in (*range(_TITLES + 1), *([above] if above > _TITLES else [])):
            for header in (True, False):
                yield TextRules(delimiter, header, (), text.encoding, skip, until)


def _is_near_top(error: SourceError) -> bool:
    """Whether an error is about one of the lines that may be a title, or the one below."""
    return 0 < _line_of(error) <= _TITLES + 1


def _line_of(error: SourceError) -> int:
    """Return the number of the line that an error is about; 0 if it names none."""
    line = error.where.rpartition(":")[2]
    return int(line) if line.isdecimal() else 0


def _first_lines(
    text: _Text, raw: SourceTable, rules: TextRules
) -> tuple[list[str], Sequence[Sequence[object]]]:
    """Return the first line of a text, and rows below it."""
    with text.engines.sealed(read=[raw.path], write=text.scratch) as connection:
        rows = connection.execute(f"FROM {parquet(raw.path)} LIMIT {_HEAD}").fetchall()
    if rules.header:
        return [*raw.columns], rows
    return ["" if cell is None else str(cell) for cell in (rows or [()])[0]], rows[1:]


def _counts_rows(first: Sequence[str], rows: int) -> bool:
    """Whether the first line tells how many rows and inputs follow, and is no row itself."""
    return len(first) > 2 and first[0] == str(rows) and first[1] == str(len(first) - 1)


def _are_split(rows: Sequence[Sequence[object]]) -> bool:
    """Whether rows of a single column would be of several below a title."""
    lines = [str(row[0]) for row in rows[_TITLES:]]
    words = {len(line.split()) for line in lines}
    if len(words) == 1 and words != {1}:
        return True
    counts = (Counter(line.count(separator) for line in lines) for separator in ";\t|,")
    return any(
        most and n > len(lines) / 2 for ((most, n),) in (c.most_common(1) for c in counts if c)
    )


def _are_numbers_between_blanks(lines: Sequence[str]) -> bool:
    """Whether blanks split a file that may not be split like this because it is called `.csv`."""
    rows = [line.split() for line in lines[:_HEAD] if line.strip()]
    widths = {len(row) for row in rows}
    return len(widths) == 1 and widths != {1} and all(map(is_all_numbers, rows[1:]))


def _repeated(names: Sequence[str]) -> bool:
    named = [name.strip() for name in names if name.strip()]
    return len(set(named)) < len(named)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names, the second of two equal ones with `_2` behind it; blank ones by place.

    A declaration takes none that begins with an underscore.
    """
    plain = (name.strip().lstrip("_ ") for name in names)
    names = [name or f"column_{place}" for place, name in enumerate(plain, 1)]
    seen: Counter[str] = Counter()
    distinct: list[str] = []
    for name in names:
        seen[name] += 1
        number, candidate = seen[name], name
        while candidate in distinct or (number > 1 and candidate in names):
            candidate, number = f"{name}_{max(number, 2)}", number + 1
        distinct.append(candidate)
    return tuple(distinct)
