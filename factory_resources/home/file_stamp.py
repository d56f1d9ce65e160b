"""What tells whether a file is another than before, without reading it."""

import os
from pathlib import Path

FileStamp = tuple[int, int, int]
"""When a file was changed, its number, and its size."""


def file_stamp(file: Path) -> FileStamp | None:
    """Return the stamp of a file; None if there is none.

    Raises:
        OSError: nobody can tell.
    """
    try:
        found = os.stat(file)
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
