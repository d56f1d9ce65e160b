"""Copy a file as cheaply as the file system can: sharing blocks, else within the kernel."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FICLONE = 0x40049409
"""The request of Linux to share the blocks of another file (btrfs, XFS, bcachefs)."""

_ELSEWHERE = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS, errno.EPERM}
"""What the kernel says if a file system cannot do it."""

_CHUNK = 1 << 27


def copy_file(source: Path, target: Path, mode: int = 0o600) -> None:
    """Copy the content of a file to a new one, which only its owner may read.

    Raises:
        OSError: one of them cannot be read or written.
    """
    with source.open("rb") as read:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode & 0o700)
        with os.fdopen(handle, "wb") as written:
            if not (_shares_blocks(read.fileno(), handle) or _copies_inside(read.fileno(), handle)):
                shutil.copyfileobj(read, written, 1 << 20)


@contextmanager
def naming_unreadable(source: Path) -> Iterator[None]:
    """Name the file in an error of its disk, which does not say which of two disks is failing."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EIO and error.filename is None and not _is_readable(source):
            error.filename = str(source)
        raise


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            while file.read(1 << 20):
                pass
    except OSError:
        return False
    return True


def _shares_blocks(read: int, written: int) -> bool:
    try:
        fcntl.ioctl(written, _FICLONE, read)
    except OSError as error:
        if error.errno in _ELSEWHERE:
            return False
        raise
    return True


def _copies_inside(read: int, written: int) -> bool:
    """Copy from where both are now; whatever is left, the caller copies."""
    if not hasattr(os, "copy_file_range"):
        return False
    try:
        while os.copy_file_range(read, written, _CHUNK):
            pass
    except OSError as error:
        if error.errno in _ELSEWHERE:
            return False
        raise
    # A file of a special file system has a size of 0 and content nonetheless.
    return os.lseek(read, 0, os.SEEK_CUR) >= os.fstat(read).st_size
