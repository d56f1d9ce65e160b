"""Find the rules by which a data file is read: encoding, header line, title lines, member of a zip.

What its columns contain belongs in `profile`.
"""

import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from factory_assets.cli.new.header import is_all_numbers, is_header
from factory_resources.errors import EncodingError, SourceError
from factory_resources.sources.files.delimited_text import TextRules
from factory_resources.sources.files.discovery import File, format_of
from factory_resources.sources.files.reader import SourceTable, parquet, read_file
from factory_resources.sql.engine import sealed

_HEAD = 2000
"""Rows by which a header line is recognised."""

_TITLES = 5
"""Most lines above the header, such as a title and a blank one."""

_ENCODINGS = ("utf-8", "latin-1", "windows-1252")
"""Bytes that the engine takes for Latin-1 mean the same in Windows-1252."""

_MARK = (b"\xff\xfe", b"\xfe\xff")
"""The first bytes of UTF-16."""


def require_data_file(path: Path) -> None:
    """Require a file whose format its name shows, or a zip.

    Raises:
        SourceError: there is none.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not a file"
        raise SourceError(what, where=str(path), remedy="name the data file")
    if not _is_data(path.name) and not zipfile.is_zipfile(path):
        raise SourceError(
            "its format cannot be derived from its name",
            where=str(path),
            remedy="rename it to end in .csv, .tsv, .txt, .parquet, .jsonl or .arff",
        )


def largest_member(path: Path) -> str | None:
    """Return the largest data file of a zip with several files; None if there is no choice.

    Raises:
        SourceError: no file in the zip is a data file.
    """
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        infos = [i for i in archive.infolist() if not i.filename.startswith("__MACOSX/")]
    sizes = {info.filename: info.file_size for info in infos if _is_data(info.filename)}
    if not sizes:
        raise SourceError(
            "holds no data file",
            where=str(path),
            remedy="name a zip with a .csv, .tsv, .txt, .parquet, .jsonl or .arff",
        )
    return max(sizes, key=lambda name: sizes[name]) if len(infos) > 1 else None


def _is_data(name: str) -> bool:
    try:
        return format_of(name)[1] != "zip"
    except SourceError:
        return False


def read_by_fitting_rules(
    path: Path, member: str | None, scratch: Path
) -> tuple[SourceTable, TextRules]:
    """Read the file by the first fitting rules: with a header unless the first line is a row.

    Raises:
        SourceError: no rules fit; the error of the first attempt.
    """
    file = File(path, str(path))
    with path.open("rb") as content:
        marked = content.read(2) in _MARK
    not_encoded = None
    for encoding in ("utf-16",) if marked else _ENCODINGS:
        folder = scratch / encoding
        folder.mkdir()
        try:
            return _read(file, member, encoding, folder)
        except EncodingError as error:
            not_encoded = not_encoded or error
    assert not_encoded is not None
    raise not_encoded


def _read(
    file: File, member: str | None, encoding: str, scratch: Path
) -> tuple[SourceTable, TextRules]:
    first_error: SourceError | None = None
    for number, rules in enumerate(_attempts(encoding)):
        if rules.skip and not _is_near_top(first_error):
            continue
        attempt = scratch / str(number)
        attempt.mkdir()
        try:
            raw = read_file(file, attempt, member=member, rules=rules)
        except EncodingError:
            raise
        except SourceError as error:
            first_error = first_error or error
            continue
        if raw.format != "csv":
            return raw, rules
        first, rows = _first_lines(raw, rules, attempt)
        if len(first) == 1 and _are_split(rows):
            first_error = first_error or _not_names(f"{raw.name}:1")
            continue
        if not rules.skip and _counts_rows(first, raw.rows):
            rules = replace(rules, skip=1, header=False)
            return read_file(file, attempt, member=member, rules=rules), rules
        is_name = not is_all_numbers(first) and is_header(first, rows)
        repeated = not rules.header and is_name and _repeated(first)
        if repeated and all(first):
            names = _distinct(first)
            rules = replace(rules, skip=rules.skip + 1, columns=names)
            return read_file(file, attempt, member=member, rules=rules), rules
        if rules.header == is_name and not (rules.skip and len(first) < 2):
            return raw, rules
        first_error = first_error or _not_names(raw.name)
    assert first_error is not None
    raise first_error


def _not_names(where: str) -> SourceError:
    what = "begins with a row instead of column names"
    return SourceError(what, where=where, remedy="add a header line")


def _attempts(encoding: str) -> Iterator[TextRules]:
    for skip in range(_TITLES + 1):
        for header in (True, False):
            yield TextRules(encoding=encoding, skip=skip, header=header)


def _is_near_top(error: SourceError | None) -> bool:
    """Whether an error is about one of the lines that may be a title, or the one below."""
    line = (error.where or "").rpartition(":")[2] if error else ""
    return line.isdecimal() and int(line) <= _TITLES + 1


def _first_lines(
    raw: SourceTable, rules: TextRules, scratch: Path
) -> tuple[list[str], Sequence[Sequence[object]]]:
    """Return the first line of a text, and rows below it."""
    with sealed(read=[raw.path], write=scratch) as connection:
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
    counts = (Counter(line.count(separator) for line in lines) for separator in ";\t|,")
    return any(
        most and n > len(lines) / 2 for ((most, n),) in (c.most_common(1) for c in counts if c)
    )


def _repeated(names: Sequence[str]) -> bool:
    return len(set(names)) < len(names)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names, the second of two equal ones with `_2` behind it."""
    seen: Counter[str] = Counter()
    distinct: list[str] = []
    for name in (name.strip() for name in names):
        seen[name] += 1
        number, candidate = seen[name], name
        while candidate in distinct or (number > 1 and candidate in names):
            candidate, number = f"{name}_{max(number, 2)}", number + 1
        distinct.append(candidate)
    return tuple(distinct)
