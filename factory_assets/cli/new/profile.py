"""What a data file holds: columns, types, missing-value tokens, spread. Decides nothing."""

import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from factory_assets.data.contract.sql_types import INFERRED, could_be, native_type, present, typed
from factory_assets.spec.contract import ColumnType
from factory_resources.errors import SourceError
from factory_resources.sources.files.delimited_text import TextRules
from factory_resources.sources.files.discovery import File, format_of
from factory_resources.sources.files.reader import SourceTable, parquet, read_file
from factory_resources.sql.engine import engine_errors, identifier, literal, sealed

FEW = 20
"""Up to this many distinct values are listed."""

SURE = ("?", "NA", "N/A", "n/a", "<NA>", "#N/A", "NaN", "nan", "NULL", "null")
"""Tokens that mean "no value" in any column."""

BESIDE_NUMBERS = (*SURE, "-", "--", ".", "None", "none", "missing", "unknown")
"""Tokens that mean it where all else is a number, a date or a truth value."""

_CHUNK = 100


@dataclass(frozen=True)
class ColumnSummary:
    source: str
    """The name in the file."""
    type: ColumnType
    tokens: tuple[str, ...] = ()
    """The missing-value tokens that occur in it."""
    present: int = 0
    """Rows that have a value."""
    distinct: int = 0
    low: Any = None
    high: Any = None
    values: tuple[Any, ...] = ()
    """All values in order, where there are few."""


@dataclass(frozen=True)
class FileProfile:
    rows: int
    columns: tuple[ColumnSummary, ...]
    rules: TextRules
    """How the file had to be read, where it is text."""
    member: str | None
    """The file inside the zip."""


def profile(path: Path) -> FileProfile:
    """Read the whole file once and describe every column.

    Raises:
        SourceError: the file is missing, unreadable, empty or has no rows.
    """
    if not path.is_file():
        raise SourceError("is not a file", where=str(path), remedy="name the data file")
    if not _is_data(path.name) and not zipfile.is_zipfile(path):
        raise SourceError(
            "its name does not tell what it holds",
            where=str(path),
            remedy="rename it to end in .csv, .tsv, .txt, .parquet or .jsonl",
        )
    file = File(path, str(path))
    member = _largest_member(path)
    with tempfile.TemporaryDirectory() as scratch:
        raw, rules = _read(file, member, Path(scratch))
        if not raw.rows:
            raise SourceError("has no rows", where=raw.name, remedy="give some data")
        with (
            sealed(read=[raw.path], write=Path(scratch)) as connection,
            engine_errors(raw.name, SourceError, "check the file"),
        ):
            items = list(raw.columns.items())
            chunks = [items[i : i + _CHUNK] for i in range(0, len(items), _CHUNK)]
            columns = [c for chunk in chunks for c in _describe(connection, raw, chunk)]
    return FileProfile(raw.rows, tuple(columns), rules, member)


def _largest_member(path: Path) -> str | None:
    """Of a zip with several data files, the largest; None where there is nothing to choose."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        infos = [i for i in archive.infolist() if not i.filename.startswith("__MACOSX/")]
    sizes = {info.filename: info.file_size for info in infos if _is_data(info.filename)}
    return max(sizes, key=lambda name: sizes[name]) if len(infos) > 1 and sizes else None


def _is_data(name: str) -> bool:
    try:
        return format_of(name)[1] != "zip"
    except SourceError:
        return False


_ATTEMPTS = (TextRules(), TextRules(encoding="latin-1"), TextRules(header=False))


def _read(file: File, member: str | None, scratch: Path) -> tuple[SourceTable, TextRules]:
    """As the file asks to be read: with a header unless its first line holds numbers only."""
    first: SourceError | None = None
    for number, rules in enumerate(_ATTEMPTS):
        own = scratch / str(number)
        own.mkdir()
        try:
            raw = read_file(file, own, member=member, rules=rules)
        except SourceError as error:
            first = first or error
            continue
        if rules.header and raw.format == "csv" and _numbers_only(raw.columns):
            first = first or SourceError(
                "begins with numbers, not names", where=raw.name, remedy="add a line of names"
            )
            continue
        if rules.header or _numbers_only(_first_row(raw, own)):
            return raw, rules
    assert first is not None
    raise first


def _numbers_only(cells: Iterable[object]) -> bool:
    def number(text: str) -> bool:
        try:
            float(text)
        except ValueError:
            return text in SURE
        return True

    return all(number(str(cell).strip()) for cell in cells)


def _first_row(raw: SourceTable, scratch: Path) -> tuple[Any, ...]:
    with sealed(read=[raw.path], write=scratch) as connection:
        return tuple(connection.execute(f"FROM {parquet(raw.path)} LIMIT 1").fetchone() or ())


def _describe(
    connection: Any, raw: SourceTable, chunk: Sequence[tuple[str, tuple[str, str]]]
) -> list[ColumnSummary]:
    table = parquet(raw.path)
    cells = [(identifier(name), kind) for _, (name, kind) in chunk]
    found = _typed_columns(connection, table, cells, [source for source, _ in chunk])
    values = [
        typed(present(cell, kind, ("", *column.tokens)), kind, column.type)
        for (cell, kind), column in zip(cells, found, strict=True)
    ]
    sums = ", ".join(f"count({v}), count(DISTINCT {v}), min({v}), max({v})" for v in values)
    row = iter(connection.execute(f"SELECT {sums} FROM {table}").fetchone())
    found = [
        replace(c, present=next(row), distinct=next(row), low=next(row), high=next(row))
        for c in found
    ]
    lists = ", ".join(
        f"list_sort(list(DISTINCT {v}))" if c.distinct <= FEW else "[]"
        for v, c in zip(values, found, strict=True)
    )
    listed = connection.execute(f"SELECT {lists} FROM {table}").fetchone()
    return [
        replace(column, values=tuple(v for v in some or () if v is not None))
        for column, some in zip(found, listed, strict=True)
    ]


def _typed_columns(
    connection: Any, table: str, cells: Sequence[tuple[str, str]], sources: Sequence[str]
) -> list[ColumnSummary]:
    """Each column with its type and the missing-value tokens in it."""
    tokens = ", ".join(literal(token) for token in BESIDE_NUMBERS)
    tests = []
    for cell, kind in cells:
        text = f"CAST({present(cell, kind, ('',))} AS VARCHAR)"
        tests.append(f"list_sort(list(DISTINCT {text}) FILTER (WHERE {text} IN ({tokens})))")
        tests += [
            f"bool_and({could_be(text, wanted)}) FILTER (WHERE {text} NOT IN ({tokens}))"
            for wanted in INFERRED
        ]
    row = iter(connection.execute(f"SELECT {', '.join(tests)} FROM {table}").fetchone())
    columns = []
    for source, (_, kind) in zip(sources, cells, strict=True):
        there = tuple(next(row) or ())
        fits = [wanted for wanted, answer in [(w, next(row)) for w in INFERRED] if answer]
        column_type = native_type(kind) or (fits[0] if fits and kind == "VARCHAR" else "string")
        # What a typed source holds is a value, whatever it looks like.
        meant = SURE if column_type == "string" else BESIDE_NUMBERS
        used = tuple(t for t in there if t in meant) if kind == "VARCHAR" else ()
        columns.append(ColumnSummary(source, column_type, used))
    return columns
