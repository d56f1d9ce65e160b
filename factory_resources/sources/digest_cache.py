"""Digests of local files, remembered: a file that has not changed is not hashed again.

What cannot be forged without being the superuser tells that: beside size and time of the last
write, the time of the last change of the inode, which nobody can set. Losing the memory costs time,
never truth.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from factory_resources.errors import SourceError
from factory_resources.home.home import Home
from factory_resources.sources.files.discovery import File, sha256_of, unreadable

_RACY = 2_000_000_000
"""Nanoseconds in which a file may change again without another time of change: the coarsest clock
of a file system that is in use."""

_TABLE = (
    "CREATE TABLE IF NOT EXISTS digests (name BLOB PRIMARY KEY, signature TEXT NOT NULL, "
    "sha256 TEXT NOT NULL) WITHOUT ROWID"
)


def signature(stat: os.stat_result) -> str:
    """What of a file changes with its bytes."""
    numbers = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return " ".join(map(str, numbers))


@dataclass(frozen=True)
class Digested:
    """A file as it was when its digest was taken."""

    file: File
    sha256: str
    bytes: int
    signature: str

    def require_unchanged(self) -> None:
        """To be asked when all has been read.

        Raises:
            SourceError: the file is another one by now.
        """
        try:
            same = signature(self.file.path.stat()) == self.signature
        except OSError:
            same = False
        if not same:
            raise changed(self.file.name)


def changed(name: str) -> SourceError:
    return SourceError("changed while it was read", where=name, remedy="run again")


class DigestCache:
    """The memory of one home, in a small SQLite file that several processes may use at once."""

    def __init__(self, home: Home) -> None:
        self._path = home.path / "digests.db"

    def of_files(self, files: tuple[File, ...]) -> Iterator[Digested]:
        """The files with their digests.

        Raises:
            SourceError: a file cannot be read, or changes at this very moment.
        """
        with self._memory() as memory:
            for file in files:
                yield _digested(file, memory)

    def recall(self, name: str, sign: str) -> str | None:
        """The digest that was remembered for `name` under exactly this signature."""
        with self._memory() as memory:
            return _recall(memory, name, sign)

    def remember(self, name: str, sign: str, sha256: str) -> None:
        with self._memory() as memory:
            _remember(memory, name, sign, sha256)

    @contextmanager
    def _memory(self) -> Iterator[sqlite3.Connection | None]:
        connection = self._open()
        if connection is None:
            yield None
            return
        with closing(connection):
            yield connection

    def _open(self) -> sqlite3.Connection | None:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=10, isolation_level=None)
            # A power cut may cost the last entries or the whole file: both are only time.
            connection.execute("PRAGMA synchronous = off")
            connection.execute(_TABLE)
        except sqlite3.DatabaseError as error:
            if not isinstance(error, sqlite3.OperationalError):
                self._path.unlink(missing_ok=True)
            return None
        except OSError:
            return None
        return connection


def _digested(file: File, memory: sqlite3.Connection | None) -> Digested:
    name = str(file.path.absolute())
    try:
        stat = file.path.stat()
    except OSError as error:
        raise unreadable(file.name, error) from error
    before = signature(stat)
    if known := _recall(memory, name, before):
        return Digested(file, known, stat.st_size, before)
    now = time.time_ns()
    digest = sha256_of(file.path, file.name)
    found = Digested(file, digest, stat.st_size, before)
    found.require_unchanged()
    # A file that has only just changed may change once more within the same tick of the clock.
    if now - stat.st_ctime_ns > _RACY:
        _remember(memory, name, before, digest)
    return found


def _recall(memory: sqlite3.Connection | None, name: str, sign: str) -> str | None:
    if memory is None:
        return None
    try:
        row = memory.execute(
            "SELECT sha256 FROM digests WHERE name = ? AND signature = ?", (os.fsencode(name), sign)
        ).fetchone()
    except sqlite3.Error:
        return None
    return str(row[0]) if row else None


def _remember(memory: sqlite3.Connection | None, name: str, sign: str, sha256: str) -> None:
    if memory is None:
        return
    try:
        memory.execute(
            "INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", (os.fsencode(name), sign, sha256)
        )
    except sqlite3.Error:
        return
