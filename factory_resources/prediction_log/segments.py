"""Segments, the files of the journal: their format, and how they are read and sealed.

Appending records belongs in `journal`.

    header  magic 8 | version u32 | UUID of the segment 16 | CRC-32 of these u32
    record  length of the payload u32 | CRC-32 of id and payload u32 | id 16 | payload

Numbers are little-endian. Ids strictly increase from record to record. While a segment is written,
its name ends in `.open`, and the bytes behind its last record are zero or were never acknowledged,
unless the disk has changed some of a record before. Sealing cuts them off, and the name then ends
in `.sealed`.
"""

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import UUID
from zlib import crc32

from factory_resources.durability import sync_path
from factory_resources.errors import StorageError
from factory_resources.home.home import storage_errors
from factory_resources.prediction_log.ids import ID_BYTES

OPEN, SEALED = ".open", ".sealed"

_MAGIC = b"predlog\n"
_VERSION = 1
_HEADER = struct.Struct("<8sI16sI")
_HEAD = struct.Struct("<II16s")
HEADER_BYTES = _HEADER.size
RECORD_HEAD_BYTES = _HEAD.size
"""Size of the head that a record has before its payload."""

_BEGINNING = re.compile(rb"(?=.{8}.{6}[\x70-\x7f].[\x80-\xbf].{7})", re.DOTALL)
"""Where a record may begin: its id is a UUID of version 7."""

_BUFFER = 1 << 20


def header(identity: UUID) -> bytes:
    """Return the beginning of a segment."""
    content = _HEADER.pack(_MAGIC, _VERSION, identity.bytes, 0)[:-4]
    return content + struct.pack("<I", crc32(content))


def record_head(identifier: bytes, payload: bytes) -> bytes:
    """Return the head of a record, which comes before its payload."""
    return _HEAD.pack(len(payload), crc32(payload, crc32(identifier)), identifier)


def identity_of(segment: Path) -> UUID:
    """Return the UUID in the header of a segment.

    Raises:
        StorageError: it has no valid header, or cannot be read.
    """
    with storage_errors(segment), segment.open("rb") as file:
        return _identity(segment, file)


def first_id(segment: Path) -> bytes:
    """Return the id of the first record of a segment, which may be incomplete, to sort segments."""
    with storage_errors(segment), segment.open("rb") as file:
        return file.read(HEADER_BYTES + RECORD_HEAD_BYTES)[-ID_BYTES:]


def _identity(segment: Path, file: BinaryIO) -> UUID:
    content = file.read(HEADER_BYTES)
    if len(content) < HEADER_BYTES:
        raise _damaged(segment, "it has no header")
    magic, version, identity, check = _HEADER.unpack(content)
    if magic != _MAGIC or crc32(content[:-4]) != check:
        raise _damaged(segment, "it has no header")
    if version != _VERSION:
        raise _damaged(segment, f"its format {version} is newer")
    return UUID(bytes=identity)


def read(segment: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield id and payload of the records of a segment, to which records may still be appended.

    Raises:
        StorageError: it cannot be read, or a sealed one was changed.
    """
    end = HEADER_BYTES
    with storage_errors(segment), segment.open("rb", buffering=_BUFFER) as file:
        _identity(segment, file)
        for identifier, payload in _records(file):
            end += RECORD_HEAD_BYTES + len(payload)
            yield identifier, payload
        size = os.fstat(file.fileno()).st_size
    if segment.suffix == SEALED and end != size:
        raise _damaged(segment, f"byte {end:,} does not begin a whole record")


def _records(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the records up to the first one that is incomplete or damaged."""
    last, limit = b"", os.fstat(file.fileno()).st_size
    while len(head := file.read(RECORD_HEAD_BYTES)) == RECORD_HEAD_BYTES:
        length, check, identifier = _HEAD.unpack(head)
        if identifier <= last or length > limit:
            return
        payload = file.read(length)
        if len(payload) < length or crc32(payload, crc32(identifier)) != check:
            return
        yield identifier, payload
        last = identifier


def segments_of(folder: Path) -> list[Path]:
    """Return the sealed and the open segments of a journal.

    A segment that is sealed meanwhile is returned once, under either name: look for both.
    """
    still_open = {path.stem: path for path in folder.glob(f"*{OPEN}")}
    done = [path for path in folder.glob(f"*{SEALED}") if path.stem not in still_open]
    return [*done, *still_open.values()]


def whole_bytes(segment: Path) -> tuple[int, int]:
    """Return the number of complete records of a segment, and where the last of them ends."""
    with storage_errors(segment), segment.open("rb", buffering=_BUFFER) as file:
        _identity(segment, file)
        lengths = [RECORD_HEAD_BYTES + len(payload) for _, payload in _records(file)]
    return len(lengths), HEADER_BYTES + sum(lengths)


def records_behind(segment: Path) -> list[tuple[bytes, bytes]]:
    """Return the records behind bytes that were changed; none if the last whole record is the last.

    Nobody writes to the segment any more.
    """
    with storage_errors(segment), segment.open("rb", buffering=_BUFFER) as file:
        _identity(segment, file)
        last, end = b"", HEADER_BYTES
        for identifier, payload in _records(file):
            last, end = identifier, end + RECORD_HEAD_BYTES + len(payload)
        file.seek(end)
        content = file.read()
    # The rest of its reserved space has never been written.
    written = len(content.rstrip(b"\0")) + RECORD_HEAD_BYTES
    found, place = list[tuple[bytes, bytes]](), 0
    for beginning in _BEGINNING.finditer(content, 0, written):
        start = beginning.start()
        length, check, identifier = _HEAD.unpack_from(content, start)
        stop = start + RECORD_HEAD_BYTES + length
        if start < place or identifier <= last or stop > len(content):
            continue
        payload = content[start + RECORD_HEAD_BYTES : stop]
        if crc32(payload, crc32(identifier)) == check:
            found.append((identifier, payload))
            last, place = identifier, stop
    return found


def seal(segment: Path, handle: int, end: int) -> Path:
    """Cut an open segment behind its last record and rename it, durably; return its new path.

    Args:
        handle: the open file, on which this process holds the lock.
    """
    sealed = segment.with_suffix(SEALED)
    with storage_errors(segment):
        os.ftruncate(handle, end)
        os.fsync(handle)
        segment.rename(sealed)
        sync_path(segment.parent)
    return sealed


def _damaged(segment: Path, why: str) -> StorageError:
    return StorageError(
        f"a segment of the prediction journal is damaged: {why}",
        where=str(segment),
        remedy="restore it from a backup, or move it away: its answers are then missing in the log",
    )
