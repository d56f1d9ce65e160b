"""Files that a command writes where its user said."""

from __future__ import annotations

import os
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
    mask = os.umask(0o077)
    os.umask(mask)
    write_output(path, content, FOR_OTHERS & ~mask)
