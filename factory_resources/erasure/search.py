"""Search a whole home for values: all files byte by byte, and what is packed or encoded in them.

| place | what is compared |
|---|---|
| every file | its name |
| | bytes: text as UTF-8, UTF-16, base64, JSON, CSV, SQL, Python, HTML, Markdown, URL |
| | numbers as text and as eight bytes, dates and moments as ISO 8601 |
| Parquet | cells of every type, statistics and notes |
| SQLite | every cell; the bytes of its pages, write-ahead log and journal |
| PostgreSQL | every cell of the factory's tables |
| ZIP, npz, skops, gzip, Zstandard, texts of PNG | what is packed, byte by byte |

Not found are: what is drawn in a picture, what is encrypted or hashed, numbers in 32 bits outside
Parquet, archives within archives, and what crosses from one page of SQLite to another that no table
uses any more. A text in a binary file is found as the beginning of a longer one, too.
"""

import io
import json
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from factory_resources.erasure.databases import (
    SQLITE,
    has_free_space,
    server_places,
    sqlite_places,
)
from factory_resources.erasure.matcher import Matcher
from factory_resources.erasure.parquet import MAGIC, parquet_places
from factory_resources.erasure.search_terms import SearchTerms, search_terms
from factory_resources.erasure.streams import (
    HEAD,
    Readable,
    is_text,
    is_zip,
    pieces,
    unpacked,
    unpacking_errors,
)
from factory_resources.erasure.values import Value
from factory_resources.errors import StorageError
from factory_resources.home.home import Home

_ROWS_OF_DELTA = re.compile(r'(numRecords\\": ?)\d+')
"""How many rows a file of a Delta table has, which its log says in JSON within JSON."""

_JOURNAL = "predictions/journal/"
"""Answers that are not in the database yet, one after another and not compressed."""


@dataclass(frozen=True)
class Occurrence:
    """A place that has one of the values; it does not say which one."""

    path: str
    """The file, below the home, or the schema of PostgreSQL."""
    where: str
    """The part of it: `its name`, `bytes`, a column, statistics, what is packed."""
    form: str
    """How the value is written: a `Form`, or `value` in a table."""
    count: int


def find_values(
    home: Home,
    values: Collection[Value],
    *,
    skip: Collection[Path] = (),
    counting: Collection[Path] = (),
) -> Iterator[Occurrence]:
    """Yield all places of a home that have one of the values.

    Args:
        values: searchable ones (`is_searchable`).
        skip: files that are not searched.
        counting: folders with files of JSON whose whole numbers are counts: none is a value.

    Raises:
        StorageError: a file or database cannot be read.
        ValueError: a value is not searchable.
    """
    terms = search_terms(values)
    if not terms.values:
        return
    counting_folders = frozenset(counting)
    for path in sorted(home_paths(home)):
        name = str(path.relative_to(home.path))
        forms = Counter(one.needle.form for one in terms.in_files.find(os.fsencode(name)))
        yield from _occurrences(name, "its name", Counter[str](forms))
        if path not in skip:
            counts = not counting_folders.isdisjoint(path.parents)
            yield from _in_file(path, name, terms, counts=counts)
    for schema, column, form, count in server_places(terms):
        yield Occurrence(schema, column, form, count)


def home_paths(home: Home) -> Iterator[Path]:
    """Yield every file of a home, also behind links to other disks.

    Raises:
        StorageError: a folder cannot be read.
    """
    yield from _paths(home.path, frozenset())


def _paths(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    """Yield the files below a folder; a link to one above it would have no end.

    Args:
        above: disk and number of the folders that it is in.
    """
    try:
        status = folder.stat()
        inner = [(path, path.is_dir()) for path in folder.iterdir()]
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(folder, error) from error
    inode = status.st_dev, status.st_ino
    for path, is_folder in inner if inode not in above else ():
        if is_folder:
            yield from _paths(path, above | {inode})
        elif path.is_file():
            yield path


def holds_any(path: Path, terms: SearchTerms) -> bool:
    """Whether a file has one of the values, in its bytes, its cells or what is packed in it.

    Raises:
        StorageError: it cannot be read.
    """
    return any(True for _ in _in_file(path, path.name, terms))


def _in_file(
    path: Path, name: str, terms: SearchTerms, *, counts: bool = False
) -> Iterator[Occurrence]:
    try:
        with _without_counts(path) if counts else path.open("rb") as file:
            head = file.read(HEAD)
            file.seek(0)
            forms = _forms(file, _matcher(name, terms), terms.overlap, _stands_in_text(path, head))
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(path, error) from error
    yield from _occurrences(name, "bytes", forms)
    if head.startswith(MAGIC):
        for place, count in sorted(parquet_places(path, terms).items()):
            yield Occurrence(name, place, "value", count)
    elif head.startswith(SQLITE):
        for (column, form), count in sorted(sqlite_places(path, terms).items()):
            yield Occurrence(name, column, form, count)
    with unpacking_errors(path):
        for member, content in unpacked(path, head):
            forms = _forms(content, terms.in_files, terms.overlap, not is_zip(head))
            yield from _occurrences(name, f"packed: {member}", forms)


def _without_counts(path: Path) -> io.BytesIO:
    """Return JSON, or lines of it, with 0 in place of all whole numbers; what is none as it is."""
    content = path.read_bytes()
    for texts in ([content], content.splitlines()):
        with suppress(ValueError, RecursionError):
            values = [json.loads(text, parse_int=lambda digits: 0) for text in texts]
            zeroed = "\n".join(json.dumps(value, ensure_ascii=False) for value in values)
            without = _ROWS_OF_DELTA.sub(r"\1", zeroed)
            return io.BytesIO(without.encode("utf-8", "surrogatepass"))
    return io.BytesIO(content)


def _unreadable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"it cannot be read ({error.strerror}), so it cannot be searched",
        where=str(path),
        remedy="make it readable for the user of the factory, then run the command again",
    )


def _matcher(name: str, terms: SearchTerms) -> Matcher:
    if name.endswith(".parquet"):
        return terms.in_tables
    return terms.in_cells if name.startswith(_JOURNAL) else terms.in_files


def _stands_in_text(path: Path, head: bytes) -> bool:
    """Whether letters beside a text make it another one; in most binary files they do not."""
    if head.startswith(SQLITE):
        return not has_free_space(path)
    return is_text(head) or head.startswith(MAGIC)


def _forms(file: Readable, matcher: Matcher, overlap: int, in_text: bool) -> "Counter[str]":
    found: Counter[str] = Counter()
    for content, begin, end in pieces(file, overlap):
        for match in matcher.find(content, in_text=in_text):
            if begin <= match.start < end:
                found[match.needle.form] += 1
    return found


def _occurrences(name: str, where: str, forms: "Counter[str]") -> Iterator[Occurrence]:
    for form, count in sorted(forms.items()):
        yield Occurrence(name, where, form, count)
