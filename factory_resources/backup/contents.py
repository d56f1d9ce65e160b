"""Which files of a home belong in a backup, and in which order they are read.

Left out is what the factory makes anew: scratch, locks, logs, caches, checkpoints of trainings that
were killed. The databases have a module of their own.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from factory_resources.home.home import Home

JOURNAL = "predictions/journal"
"""Answers that are not in the database yet: files that grow."""

_LEFT_OUT = frozenset(
    {
        *("tmp", "logs", "running", "checkpoints", "workspace.yaml", "digests.db", "disk.json"),
        # All that is in the store comes into the backup, and a restored home has none.
        "store",
    }
)

_SET_ASIDE = "replaced-"
"""Begins the names of folders with databases of earlier."""

_DATABASE = re.compile(r".*\.db(-journal|-wal|-shm)?")

CHANGING = ("records", "rollouts")
"""Folders in which files change together with the ledger: records of stages that are computed
again, pointers to the latest ones, and what was seen of roll-outs."""

_NAMED_BY_CONTENT = re.compile(r"(?:tables|statements)/.+/([0-9a-f]{64})\.(?:parquet|json)")


@dataclass(frozen=True)
class HomeFile:
    """A file of a home."""

    source: Path
    path: str
    """Below the home."""
    bytes: int
    modified: int
    """Nanoseconds since 1970."""
    inode: tuple[int, int]


def digest_in_name(path: str) -> str | None:
    """Return the SHA-256 of a file, if the factory has named it by that; else None.

    Whether it still has it, reading tells: the factory reads such a file only after it has compared
    it, and `factory verify` compares all.

    Args:
        path: below the home.
    """
    match = _NAMED_BY_CONTENT.fullmatch(path)
    return match[1] if match else None


def home_files(home: Home, *, below: str = "", databases: bool = False) -> Iterator[HomeFile]:
    """Yield the files that belong in a backup below a folder of the home.

    Args:
        databases: whether they are among them: nobody may use them.
    """
    start = home.path / below
    if start.is_dir():
        yield from _files(start, f"{below}/" if below else "", databases)


def _files(folder: Path, prefix: str, databases: bool) -> Iterator[HomeFile]:
    for entry in sorted(_entries(folder), key=lambda one: one.name):
        path = prefix + entry.name
        if path in _LEFT_OUT or path == JOURNAL or entry.name.startswith((".", _SET_ASIDE)):
            continue
        # Who moved a folder to another disk left a link.
        if entry.is_dir():
            yield from _files(folder / entry.name, path + "/", databases)
            continue
        found = file_at(Path(entry.path), path)
        if found and (databases or not _DATABASE.fullmatch(entry.name)):
            yield found


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [*entries]
    except FileNotFoundError:
        return []


def file_at(source: Path, path: str) -> HomeFile | None:
    """Return a file; None if it has vanished meanwhile, or is no file."""
    try:
        status = source.stat()
    except FileNotFoundError:
        return None
    if not source.is_file():
        return None
    inode = status.st_dev, status.st_ino
    return HomeFile(source, path, status.st_size, status.st_mtime_ns, inode)
