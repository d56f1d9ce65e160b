"""Find and remove unneeded files of a home. The callers decide which files are still needed."""

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from factory_resources.delta_protocol import LAST_CHECKPOINT, LOG
from factory_resources.home.home import Home, is_free, scratch_prefix, storage_errors
from factory_resources.home.processes import pod_lock

Kind = Literal[
    "record", "run", "table file", "picture", "cache", "log", "checkpoint", "scratch", "lock"
]

UNNAMED: frozenset[Kind] = frozenset({"cache", "log", "checkpoint", "scratch"})
"""What neither a record nor an entry of the ledger names."""

_SCRATCH = re.compile(r"(\d+)\.(\w+)-")

_POD_SCRATCH = re.compile(r"([a-z0-9-]+)\.pod-")

_COMMITTED = re.compile(rf"\d{{20}}\.(json|crc|checkpoint.*)|{LAST_CHECKPOINT}|_sidecars")


@dataclass(frozen=True)
class Garbage:
    """A file or folder that is no longer needed."""

    path: Path
    bytes: int
    kind: Kind
    why: str


def waste(path: Path, kind: Kind, why: str) -> Garbage:
    """Return the path as garbage with its total size; files that vanish meanwhile count as 0."""
    files = path.rglob("*") if path.is_dir() else [path]
    return Garbage(path, sum(map(_size, files)), kind, why)


def remove(garbage: Iterable[Garbage]) -> None:
    """Remove the items in the given order. Missing items are skipped, so removal can be repeated.

    Raises:
        StorageError: an item cannot be removed.
    """
    for item in garbage:
        with storage_errors(item.path):
            if item.kind == "lock":
                _remove_lock(item.path)
            elif item.path.is_dir() and not item.path.is_symlink():
                shutil.rmtree(item.path)
            else:
                item.path.unlink(missing_ok=True)


def left_behind(home: Home) -> Iterator[Garbage]:
    """Yield scratch of processes that have ended, unfinished files, and free locks."""
    if home.tmp.is_dir():
        for path in sorted(home.tmp.iterdir()):
            if has_ended(home, path):
                yield waste(path, "scratch", "its process has ended")
        for path in sorted((home.tmp / "locks").glob("*")):
            if is_free(path):
                yield waste(path, "lock", "no process holds it")
    for folder in (home.records, home.pictures, home.path / "profiles"):
        for path in sorted(folder.rglob(".*")):
            yield waste(path, "scratch", "an unfinished file")
    for log in sorted(home.tables.glob(f"*/*/{LOG}")):
        for path in sorted(log.iterdir()):
            if not _COMMITTED.fullmatch(path.name):
                yield waste(path, "scratch", "an unfinished commit")


def has_ended(home: Home, scratch: Path) -> bool:
    """Whether the process to which something in the scratch folder belongs has ended."""
    if owner := _SCRATCH.match(scratch.name):
        return scratch_prefix(int(owner[1])) != owner[0]
    pod = _POD_SCRATCH.match(scratch.name)
    return pod is not None and home.is_left(pod_lock(pod[1]))


def unneeded_files(
    home: Home,
    needed: set[Path],
    current_files: Callable[[Path], set[str]],
    stored: Mapping[Path, int],
) -> Iterator[Garbage]:
    """Yield the tables' Parquet files that are neither `needed` nor part of a current version.

    Args:
        current_files: returns the names of the files of the current version of a table's folder.
        stored: files that the factory's store has, with their bytes; the home may lack them.
    """
    for folder in sorted({path.parent for path in stored}):
        current = current_files(folder)
        for path in sorted(path for path in stored if path.parent == folder):
            if path not in needed and path.name not in current and not path.exists():
                why = "the store has it, and no model version, latest or recent result needs it"
                yield Garbage(path, stored[path], "table file", why)
    for folder in sorted(path.parent for path in home.tables.glob(f"*/*/{LOG}")):
        current = current_files(folder)
        for path in sorted(folder.glob("*.parquet")):
            if path not in needed and path.name not in current:
                why = "no model version, latest or recent result, or log needs it"
                yield waste(path, "table file", why)
    # A table whose first commit never finished has no log.
    for folder in sorted(path for path in home.tables.glob("*/*") if path.is_dir()):
        if not (folder / LOG).is_dir():
            for path in sorted(folder.glob("*.parquet")):
                if path not in needed:
                    yield waste(path, "table file", "it was never part of a version")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def _remove_lock(path: Path) -> None:
    """Remove the file while holding the lock: a process that waits for it notices the removal."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(path, timeout=0):
            path.unlink(missing_ok=True)
    except Timeout:
        return
