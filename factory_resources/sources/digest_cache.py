"""A cache of the digests of local files, so that an unchanged file is not hashed again.

A file counts as unchanged if its size, the time of its last write, and the time of the last change
of its inode, which only the superuser can forge, are as before. A program that has a file mapped in
memory may change it without changing these, so a run always hashes as much as takes a moment.
Losing the cache costs time, but never gives a wrong digest.
"""

import math
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from factory_resources.errors import SourceError, StorageError
from factory_resources.home.home import Home
from factory_resources.home.schema import Schema, SchemaMigration, VersionedTables
from factory_resources.sources.files.discovery import File, sha256_of, unreadable

ALWAYS_HASHED = 64_000_000
"""Bytes of sources that a run hashes although their digests are known: a tenth of a second."""

Rehash = Literal["", "files", "all"]
"""Which sources are hashed again whatever their size: none, local files, or objects too."""

_RACY = 2_000_000_000
"""Nanoseconds within which a file may change again with the same time of change: the coarsest clock
of the file systems in use."""

_TABLE = """\
CREATE TABLE digests (name BLOB PRIMARY KEY, signature TEXT NOT NULL,
  sha256 TEXT NOT NULL) WITHOUT ROWID;
"""

SCHEMA = Schema("digests", "the digest cache", (SchemaMigration(_TABLE, ("digests", "name")),))


@dataclass
class Hashing:
    """How much a run hashes although the digests are known. All sources of a run share one."""

    left: float = ALWAYS_HASHED
    """Bytes that may still be hashed."""
    objects: bool = False
    """Whether objects of a storage are fetched again."""

    @classmethod
    def of(cls, rehash: Rehash) -> "Hashing":
        """Return how much is hashed in a run that hashes these again whatever their size."""
        return cls(math.inf if rehash else ALWAYS_HASHED, rehash == "all")

    def takes(self, size: int) -> bool:
        """Whether a file of this size is hashed although its digest is known; uses up its bytes."""
        fits = size <= self.left
        self.left -= size if fits else 0
        return fits


def file_signature(stat: os.stat_result) -> str:
    """Return the properties of a file that change when its bytes change."""
    numbers = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return " ".join(map(str, numbers))


@dataclass(frozen=True)
class DigestedFile:
    """A file with its digest, and its signature when the digest was computed."""

    file: File
    sha256: str
    bytes: int
    signature: str
    trusted: bool = field(default=True, compare=False)
    """Whether an equal signature is enough to know that the file did not change."""

    def require_unchanged(self) -> None:
        """Check that the file is still the same; call this after reading it.

        Raises:
            SourceError: the file has changed.
        """
        self.require_signature()
        if not self.trusted and sha256_of(self.file.path, self.file.name) != self.sha256:
            raise changed(self.file.name)

    def require_signature(self) -> None:
        """Check that neither size nor times of the file have changed.

        Raises:
            SourceError: one of them has.
        """
        try:
            unchanged = file_signature(self.file.path.stat()) == self.signature
        except OSError:
            unchanged = False
        if not unchanged:
            raise changed(self.file.name)


def changed(name: str) -> SourceError:
    return SourceError("changed while it was read", where=name, remedy="run again")


class DigestCache:
    """The digest cache of one home: a small SQLite file that several processes may use at once.

    Args:
        hashing: what is hashed although its digest is known; nothing by default.
    """

    def __init__(self, home: Home, hashing: Hashing | None = None) -> None:
        self._path = home.path / "digests.db"
        self._hashing = hashing or Hashing(left=0)

    def of_files(self, files: tuple[File, ...]) -> Iterator[DigestedFile]:
        """Yield the files with their digests.

        Raises:
            SourceError: a file cannot be read, or changes while it is hashed.
        """
        with self._connected() as connection:
            for file in files:
                yield _digested(file, connection, self._hashing)

    def recall(self, name: str, signature: str) -> str | None:
        """Return the digest stored for an object `name` with exactly this signature, or None."""
        if self._hashing.objects:
            return None
        with self._connected() as connection:
            return _recall(connection, name, signature)

    def remember(self, name: str, signature: str, sha256: str) -> None:
        """Store the digest of `name` with this signature."""
        with self._connected() as connection:
            _remember(connection, name, signature, sha256)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection | None]:
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
        except (OSError, sqlite3.Error):
            return None
        try:
            # A power cut may destroy the last entries or the whole file, which costs only time.
            connection.execute("PRAGMA synchronous = off")
            _bring_up_to_date(connection, str(self._path))
        except (StorageError, sqlite3.Error, OSError) as error:
            # Files are hashed again, as the rows of a newer factory are not understood here either.
            connection.close()
            if _is_damaged(error):
                self._path.unlink(missing_ok=True)
            return None
        return connection


def _is_damaged(error: Exception) -> bool:
    """Whether the file is not a database; a full disk or a lock leaves it as it is."""
    is_fault = isinstance(error, sqlite3.DatabaseError)
    return is_fault and not isinstance(error, sqlite3.OperationalError)


def _bring_up_to_date(connection: sqlite3.Connection, file: str) -> None:
    def run(statement: str) -> list[Any]:
        return connection.execute(statement).fetchall()

    VersionedTables(SCHEMA, "sqlite", run, file).update(create=True)


def _digested(file: File, connection: sqlite3.Connection | None, hashing: Hashing) -> DigestedFile:
    name = str(file.path.absolute())
    try:
        stat = file.path.stat()
    except OSError as error:
        raise unreadable(file.name, error) from error
    before = file_signature(stat)
    trusted = not hashing.takes(stat.st_size)
    if trusted and (known := _recall(connection, name, before)):
        return DigestedFile(file, known, stat.st_size, before)
    now = time.time_ns()
    digest = sha256_of(file.path, file.name)
    digested = DigestedFile(file, digest, stat.st_size, before, trusted)
    digested.require_signature()
    # A file that has only just changed may change once more within the same tick of the clock.
    if now - stat.st_ctime_ns > _RACY:
        _remember(connection, name, before, digest)
    return digested


def _recall(connection: sqlite3.Connection | None, name: str, signature: str) -> str | None:
    if connection is None:
        return None
    try:
        row = connection.execute(
            "SELECT sha256 FROM digests WHERE name = ? AND signature = ?",
            (os.fsencode(name), signature),
        ).fetchone()
    except sqlite3.Error:
        return None
    return str(row[0]) if row else None


def _remember(
    connection: sqlite3.Connection | None, name: str, signature: str, sha256: str
) -> None:
    if connection is None:
        return
    try:
        connection.execute(
            "INSERT OR REPLACE INTO digests VALUES (?, ?, ?)",
            (os.fsencode(name), signature, sha256),
        )
    except sqlite3.Error:
        return
