"""Which files of a home belong in a backup, and in which order they are read.

Left out is what the factory makes anew: scratch, locks, logs, caches, checkpoints of trainings that
were killed. The databases have a module of their own.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from errno import ELOOP, ENOENT, ENOTDIR
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from factory_resources.errors import StorageError
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
"""The names of folders with former databases begin with this."""

_DATABASE = re.compile(r".*\.db(-journal|-wal|-shm)?")

CHANGING = ("records", "rollouts")
"""Folders in which files change together with the ledger: records of stages that are computed
again, pointers to the latest ones, and what was seen of roll-outs."""

_NAMED_BY_CONTENT = re.compile(r"(?:tables|statements)/.+/([0-9a-f]{64})\.(?:parquet|json)")


Inode = tuple[int, int]
"""What tells files apart while they are there: their disk, and their number on it."""


@dataclass(frozen=True)
class HomeFile:
    """A file of a home."""

    source: Path
    path: str
    """Below the home."""
    bytes: int
    modified: int
    """Nanoseconds since 1970."""
    inode: Inode


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

    Raises:
        StorageError: the name of one cannot be written down.
    """
    start = home.path / below
    if start.is_dir():
        above = {_inode(home.path.stat()), _inode(start.stat())}
        yield from _files(start, f"{below}/" if below else "", databases, above)


def _files(folder: Path, prefix: str, databases: bool, above: set[Inode]) -> Iterator[HomeFile]:
    for entry in sorted(_entries(folder), key=lambda one: one.name):
        path = prefix + entry.name
        if path in _LEFT_OUT or path == JOURNAL or entry.name.startswith((".", _SET_ASIDE)):
            continue
        if (status := _status(entry)) is None:
            continue
        # Who moved a folder to another disk left a link. One to a folder above would have no end.
        if S_ISDIR(status.st_mode) and (inode := _inode(status)) not in above:
            yield from _files(Path(entry.path), path + "/", databases, above | {inode})
        is_wanted = databases or not _DATABASE.fullmatch(entry.name)
        if S_ISREG(status.st_mode) and is_wanted:
            _require_text(path)
            yield _home_file(Path(entry.path), path, status)


def _require_text(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise StorageError(
            "the file name is not UTF-8, so it is no file of the factory",
            where=path,
            remedy="rename it, or move it out of the home",
        ) from error


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [*entries]
    except FileNotFoundError:
        return []


def file_at(source: Path, path: str) -> HomeFile | None:
    """Return a file; None if it has vanished meanwhile, or is no file."""
    status = _status(source)
    return _home_file(source, path, status) if status and S_ISREG(status.st_mode) else None


def _home_file(source: Path, path: str, status: os.stat_result) -> HomeFile:
    return HomeFile(source, path, status.st_size, status.st_mtime_ns, _inode(status))


def _status(path: os.PathLike[str]) -> os.stat_result | None:
    """Return what the system knows of a file; None if it has vanished, or a link leads nowhere."""
    try:
        return os.stat(path)
    except OSError as error:
        if error.errno in (ENOENT, ELOOP, ENOTDIR):
            return None
        raise


def _inode(status: os.stat_result) -> Inode:
    return status.st_dev, status.st_ino
