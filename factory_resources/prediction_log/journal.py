"""The journal: makes answers durable before they are sent, many of them with one write.

Each process writes its own segments; others read them, and collect the sealed ones (`collector`).
The format of a segment belongs in `segments`.
"""

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from factory_resources.durability import make_folder, replace_file, sync_path
from factory_resources.errors import StorageError
from factory_resources.home.home import storage_errors
from factory_resources.prediction_log.segments import (
    HEADER_BYTES,
    OPEN,
    SEALED,
    header,
    record_head,
    records_behind,
    seal,
    whole_bytes,
)

SEGMENT_BYTES = 16 * 1024 * 1024
"""The disk space that is reserved for a segment when it is created."""

_NEW = ".new"

DAMAGED = ".damaged"
"""The end of the name of a segment as it was before records that cannot be read were left out."""


class Journal:
    """The open segment of a journal, to which one process appends records.

    Args:
        folder: the folder of the segments, which is created if it is missing.
        size: bytes of a segment.

    Raises:
        StorageError: the disk cannot be written.
    """

    def __init__(self, folder: Path, *, size: int = SEGMENT_BYTES) -> None:
        self._folder, self._size = folder, size
        self._waiting: list[bytes] = []
        self._last = b""
        with storage_errors(folder):
            make_folder(folder, 0o700)
        self._segment = _Segment.create(folder, size)

    def append(self, identifier: bytes, payload: bytes) -> None:
        """Add a record to those that the next `flush` makes durable.

        Args:
            identifier: 16 bytes, larger than those of the record before.
        """
        if identifier <= self._last:
            raise ValueError("the ids of a journal strictly increase")
        self._last = identifier
        self._waiting += (record_head(identifier, payload), payload)

    def flush(self) -> None:
        """Make all records that were appended durable.

        Raises:
            StorageError: the records that were appended since the last `flush` are not durable, and
                are dropped. The journal can be used again as soon as the disk has room.
        """
        if not self._waiting:
            return
        content = b"".join(self._waiting)
        self._waiting.clear()
        if len(content) > self._segment.room:
            self._begin(max(self._size, HEADER_BYTES + len(content)))
        self._segment.write(content)

    def roll(self, seconds: float = 0.0) -> bool:
        """Seal the segment if its oldest record has this age; return whether it was sealed.

        Raises:
            StorageError: no new segment can be created, and the old one stays in use; or the old
                one cannot be sealed, which `recover` does later.
        """
        age = self._segment.age
        if age is None or age < seconds:
            return False
        self._begin(self._size)
        return True

    def close(self) -> None:
        """Seal the segment; records that were not flushed are dropped."""
        self._waiting.clear()
        self._segment.close()

    def _begin(self, size: int) -> None:
        # On a full disk this fails, and the former segment is still there.
        begun = _Segment.create(self._folder, size)
        former, self._segment = self._segment, begun
        # If it cannot be sealed, it is closed all the same, and others seal it.
        former.close()


class _Segment:
    """An open segment, which its process holds locked."""

    def __init__(self, path: Path, handle: int, size: int) -> None:
        self._path, self._handle = path, handle
        self._end, self._size = HEADER_BYTES, size
        self._begun: float | None = None

    @classmethod
    def create(cls, folder: Path, size: int) -> "_Segment":
        """Create a segment under a temporary name, lock it, then give it its final name."""
        identity = uuid4()
        path = folder / f"{identity}{OPEN}"
        while True:
            with storage_errors(path):
                handle = _lock_new(path.with_suffix(_NEW))
                try:
                    os.posix_fallocate(handle, 0, size)
                    os.pwrite(handle, header(identity), 0)
                    os.fsync(handle)
                    path.with_suffix(_NEW).rename(path)
                    sync_path(folder)
                except FileNotFoundError:
                    # Another process removed it as an orphan before it was locked.
                    os.close(handle)
                    continue
                except OSError:
                    path.with_suffix(_NEW).unlink(missing_ok=True)
                    os.close(handle)
                    raise
            return cls(path, handle, size)

    @property
    def room(self) -> int:
        return self._size - self._end

    @property
    def age(self) -> float | None:
        """Seconds since the first record; None if there is none."""
        return None if self._begun is None else time.monotonic() - self._begun

    def write(self, content: bytes) -> None:
        with storage_errors(self._path):
            written = os.pwrite(self._handle, content, self._end)
            if written < len(content):
                # Writing the rest either succeeds, or raises the reason of the short write.
                _write_all(self._handle, content[written:], self._end + written)
            os.fdatasync(self._handle)
        # The next attempt overwrites what a failed one has left here. Records of which some bytes
        # remain behind it have smaller ids, at which readers stop.
        self._end += len(content)
        if self._begun is None:
            self._begun = time.monotonic()

    def close(self) -> None:
        """Seal it, or remove it if it is empty, and release the lock."""
        try:
            if self._begun is None:
                with storage_errors(self._path):
                    self._path.unlink(missing_ok=True)
            else:
                seal(self._path, self._handle, self._end)
        finally:
            os.close(self._handle)


def _lock_new(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def _write_all(handle: int, content: bytes, start: int) -> None:
    while content:
        written = os.pwrite(handle, content, start)
        content, start = content[written:], start + written


def is_written(folder: Path) -> bool:
    """Whether a process has a segment of this folder open for writing."""
    for path in folder.glob(f"*{OPEN}"):
        with _orphan(path) as handle:
            if handle is None and path.exists():
                return True
    return False


def recover(folder: Path) -> list[Path]:
    """Seal the segments whose writer has ended, up to their last complete record; return them.

    Of one in which the disk has changed bytes, a copy stays.

    Raises:
        StorageError: the disk cannot be read or written, or a segment has no valid header; the
            others are sealed nonetheless.
    """
    for path in folder.glob(f"*{_NEW}"):
        with _orphan(path) as handle:
            if handle is not None:
                path.unlink(missing_ok=True)
    recovered, errors = list[Path](), list[StorageError]()
    for path in sorted(folder.glob(f"*{OPEN}")):
        try:
            if sealed := _recover(path):
                recovered.append(sealed)
        except StorageError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return recovered


def _recover(path: Path) -> Path | None:
    with _orphan(path) as handle:
        if handle is None:
            return None
        count, end = whole_bytes(path)
        if behind := records_behind(path):
            return _without_damage(path, end, behind)
        if count:
            return seal(path, handle, end)
        with storage_errors(path):
            path.unlink()
        return None


def _without_damage(path: Path, end: int, behind: Sequence[tuple[bytes, bytes]]) -> Path:
    """Seal a segment of which bytes were changed with its whole records, and keep it as it was.

    Args:
        end: where the records before the changed bytes end.
        behind: those behind them.
    """
    sealed = path.with_suffix(SEALED)
    with storage_errors(path):
        content = path.read_bytes()
        replace_file(path.with_suffix(DAMAGED), content, 0o600)
        rest = (part for one, payload in behind for part in (record_head(one, payload), payload))
        replace_file(sealed, b"".join((content[:end], *rest)), 0o600)
        sync_path(path.parent)
        path.unlink()
    return sealed


@contextmanager
def _orphan(path: Path) -> Iterator[int | None]:
    """Yield a locked handle of a segment without a writer; None if it has one, or is gone."""
    handle = _open(path)
    if handle is None:
        yield None
        return
    try:
        yield handle if _try_lock(handle) and _is_at(handle, path) else None
    finally:
        os.close(handle)


def _open(path: Path) -> int | None:
    with storage_errors(path):
        try:
            return os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(handle: int, path: Path) -> bool:
    """Whether the file still has this name: another process may have sealed it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
