"""What must be on the disk before the next step: the bytes of a file, the names in a folder."""

import os
from pathlib import Path
from uuid import uuid4


def sync_path(path: Path) -> None:
    """Return once the bytes of a file, or the names in a folder, are on the disk.

    Raises:
        OSError: the disk cannot be written.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_disk(folder: Path) -> None:
    """Return once everything that was written to the disk of a folder is on it.

    `os.sync` tells nobody that a disk failed.

    Raises:
        OSError: something cannot be written.
    """
    import ctypes

    handle = os.open(folder, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(handle)


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make a folder, and those above it that are missing; then their names are on the disk.

    Args:
        mode: its permissions, from which the umask takes away.

    Raises:
        OSError: the disk cannot be written, or there is a file of that name.
    """
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode, exist_ok=True)
        sync_path(folder.parent)


def replace_file(path: Path, content: bytes, mode: int, *, exactly: bool = False) -> None:
    """Write a file anywhere; readers see the old or the new content, even after a power cut.

    Args:
        mode: its permissions.
        exactly: whether the umask takes nothing away from them.

    Raises:
        OSError: it cannot be written; then nothing is left.
    """
    name = path.parent / f".{uuid4().hex}"
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            if exactly:
                os.fchmod(handle, mode)
            file.write(content)
            file.flush()
            os.fsync(handle)
        os.replace(name, path)
    except BaseException:
        name.unlink(missing_ok=True)
        raise
