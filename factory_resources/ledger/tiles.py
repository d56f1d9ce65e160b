"""The log as static files in the format of C2SP tlog-tiles, for readers that others wrote."""

import struct
from collections.abc import Callable
from pathlib import Path

from factory_resources.ledger.factory_verify import leaf_hash
from factory_resources.ledger.log import Log

WIDTH = 256
"""Hashes in a full tile."""

Write = Callable[[Path, bytes], None]


def write_tiles(log: Log, folder: Path, write: Write) -> int:
    """Write the checkpoint, the tiles and the entry bundles; return the number of entries.

    Full tiles that exist are left as they are: they never change.

    Args:
        write: writes one file, so that readers see the old or the new content.
    """
    size, note = log.signed
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
    write(folder / "checkpoint", note.encode())
    return size


def tile_path(folder: Path, number: int, width: int) -> Path:
    """Return where a tile is: `x001/x234/067` for number 1234067; narrower ones have `.p/<W>`."""
    groups = [f"{number % 1000:03}"]
    while number := number // 1000:
        groups.insert(0, f"x{number % 1000:03}")
    name = "/".join(groups)
    return folder / (name if width == WIDTH else f"{name}.p/{width}")
