"""Replace values in what Dagster, MLflow and searches have stored, in logs and in events.

Each step can be done again: what is replaced already is not found any more. What an entry of the
ledger binds by its digest is not touched here. Beyond the file system nothing is promised: a disk
may keep blocks of what was removed.
"""

import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from factory_resources.erasure.redaction import ERASED, Redaction
from factory_resources.erasure.scrubbing_server import scrub_server
from factory_resources.erasure.scrubbing_sqlite import FILE_SUFFIXES, scrub_sqlite
from factory_resources.erasure.search import holds_any
from factory_resources.erasure.search_terms import SearchTerms, search_terms
from factory_resources.erasure.streams import pieces
from factory_resources.erasure.values import Value
from factory_resources.home.home import Home, storage_errors
from factory_resources.home.sqlite_files import dagster_files, mlflow_file, run_logs, search_file


def scrub(home: Home, values: Collection[Value]) -> dict[str, int]:
    """Replace values in databases of Dagster, MLflow and searches, in logs, and in events.

    Nothing else may use the home meanwhile.

    Args:
        values: searchable ones (`is_searchable`).

    Returns:
        How many were replaced, by file or schema and, in a database, by table and column.

    Raises:
        StorageError: something cannot be read or written.
    """
    terms = search_terms(values)
    found: Counter[str] = Counter()
    for path in _databases(home):
        if path.is_file():
            name = path.relative_to(home.path)
            for column, count in scrub_sqlite(path, terms).items():
                found[f"{name}: {column}"] += count
    if dropped := _drop_digests(home, terms):
        found["digests.db"] = dropped
    found.update(scrub_server(terms))
    for path in _logs(home):
        if count := _overwrite(path, terms):
            found[str(path.relative_to(home.path))] += count
    for path in _events(home):
        if count := _replace_in_lines(home, path, terms):
            found[str(path.relative_to(home.path))] += count
    return dict(found)


def _databases(home: Home) -> list[Path]:
    files = [*dagster_files(home), *run_logs(home), mlflow_file(home), search_file(home)]
    return [file.path for file in files]


def _drop_digests(home: Home, terms: SearchTerms) -> int:
    """Remove the cache of digests if the name of a source in it has a value."""
    path = home.path / "digests.db"
    files = [path.with_name(path.name + suffix) for suffix in FILE_SUFFIXES]
    if not any(holds_any(file, terms) for file in files if file.is_file()):
        return 0
    with storage_errors(path):
        for file in files:
            file.unlink(missing_ok=True)
    return 1


def _logs(home: Home) -> list[Path]:
    """Return the logs of services, and what steps of runs have printed."""
    folders = home.path / "logs", home.dagster / "storage"
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())


def _events(home: Home) -> list[Path]:
    """Return the files of events of OpenLineage, one a line, which name sources."""
    return sorted(path for path in (home.path / "openlineage").glob("*") if path.is_file())


def _replace_in_lines(home: Home, path: Path, terms: SearchTerms) -> int:
    """Replace values in lines of JSON, which stay JSON."""
    redaction = Redaction(terms)
    with storage_errors(path):
        lines = path.read_bytes().decode("utf-8", "surrogateescape").split("\n")
    changed = "\n".join(map(redaction.text, lines))
    if redaction.count:
        home.write_atomic(path, changed.encode("utf-8", "surrogateescape"))
    return redaction.count


def _overwrite(path: Path, terms: SearchTerms) -> int:
    """Replace values in a log by as many bytes: a service may have it open to go on writing."""
    found: set[tuple[int, int]] = set()
    at = 0
    with storage_errors(path), path.open("rb+") as file:
        for content, begin, end in pieces(file, terms.overlap):
            first = at - begin
            for match in terms.in_files.find(content):
                if begin <= match.start < end:
                    found.add((first + match.start, match.end - match.start))
            at += end - begin
        for start, length in sorted(found):
            os.pwrite(file.fileno(), _filler(length), start)
        os.fsync(file.fileno())
    return len(found)


def _filler(length: int) -> bytes:
    """Return what stands in place of some bytes of a log."""
    mark = ERASED.encode()
    return mark.ljust(length) if length >= len(mark) else b"*" * length
