"""Files that a command writes where its user said."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from factory_resources.errors import OUTPUT_REMEDY
from factory_resources.home.home import storage_errors
from factory_resources.ledger.factory_verify import FOR_OTHERS, write_durably


def write_output(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file; a device or a pipe is written to.

    Raises:
        StorageError: it cannot be written; a file that was there is as before.
    """
    with storage_errors(path, OUTPUT_REMEDY):
        write_durably(str(path), content, mode=mode)


def write_document(path: Path, content: bytes) -> None:
    """Write a file that others may read unless the umask says otherwise; raises as `write_output`.

    It may have values of an answer, and the names of people.
    """
    write_output(path, content, _for_others())


@contextmanager
def whole_output(path: Path) -> Iterator[Path]:
    """Yield where to write a file that is too large to be held; after the block it is at its place.

    A device or a pipe, or a file in a folder that cannot be written to, is written to itself.

    Raises:
        StorageError: it cannot be written; a file that was there is as before.
    """
    target = path.resolve()
    with storage_errors(path, OUTPUT_REMEDY):
        if (target.exists() and not target.is_file()) or not os.access(target.parent, os.W_OK):
            yield path
            return
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=path.suffix)
        os.close(handle)
        try:
            yield Path(name)
            with open(name, "rb") as written:
                os.fsync(written.fileno())
            # Not every stick or share has permissions.
            with suppress(OSError):
                os.chmod(name, target.stat().st_mode if target.exists() else _for_others())
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise


def _for_others() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return FOR_OTHERS & ~mask
