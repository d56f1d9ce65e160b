"""The log as static files in the format of C2SP tlog-tiles, for readers that others wrote."""

import struct
from collections.abc import Callable
from pathlib import Path

from factory_resources.errors import StorageError
from factory_resources.ledger.factory_verify import (
    InvalidError,
    LogCheckpoint,
    SignedNote,
    leaf_hash,
)
from factory_resources.ledger.log import Log

WIDTH = 256
"""Hashes in a full tile."""

_CHECKPOINT = "checkpoint"

Write = Callable[[Path, bytes], None]


def write_tiles(log: Log, folder: Path, write: Write) -> int:
    """Write the checkpoint, the tiles and the entry bundles; return the number of entries.

    Full tiles that exist are left as they are: they never change.

    Args:
        write: writes one file, so that readers see the old or the new content.

    Raises:
        StorageError: the folder has the tiles of another log, or of another history of this one.
    """
    size, note = log.signed
    _require_extends(log, LogCheckpoint.parse(SignedNote.parse(note.encode()).text), folder)
    level = 0
    while count := size >> 8 * level:
        for number in range(-(-count // WIDTH)):
            start, stop = number * WIDTH, min(count, (number + 1) * WIDTH)
            path = tile_path(folder / "tile" / str(level), number, stop - start)
            if path.exists():
                continue
            if level == 0:
                bodies = [body for _, body in log.bodies(start, stop)]
                bundle = b"".join(struct.pack(">H", len(body)) + body for body in bodies)
                write(tile_path(folder / "tile" / "entries", number, stop - start), bundle)
                write(path, b"".join(map(leaf_hash, bodies)))
            else:
                write(path, b"".join(log.tree.hashes(level, start, stop)))
        level += 1
    write(folder / _CHECKPOINT, note.encode())
    return size


def _require_extends(log: Log, own: LogCheckpoint, folder: Path) -> None:
    """Require that what was exported to the folder before is a beginning of the log."""
    try:
        content = (folder / _CHECKPOINT).read_bytes()
    except OSError:
        return
    try:
        known = LogCheckpoint.parse(SignedNote.parse(content).text)
        if known.origin != own.origin or not 0 < known.size <= own.size:
            raise InvalidError(f"it is {known.size:,} entries of {known.origin}")
        if log.tree.root(known.size) != known.root:
            raise InvalidError("it is another history")
    except InvalidError as error:
        raise StorageError(
            f"what was exported here before is not a beginning of this log ({error})",
            where=str(folder),
            remedy="name another folder",
        ) from error


def tile_path(folder: Path, number: int, width: int) -> Path:
    """Return where a tile is: `x001/x234/067` for number 1234067; narrower ones have `.p/<W>`."""
    groups = [f"{number % 1000:03}"]
    while number := number // 1000:
        groups.insert(0, f"x{number % 1000:03}")
    name = "/".join(groups)
    return folder / (name if width == WIDTH else f"{name}.p/{width}")
