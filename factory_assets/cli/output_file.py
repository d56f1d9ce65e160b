"""Files that a command writes where its user said."""

from __future__ import annotations

from pathlib import Path

from factory_resources.home.home import storage_errors
from factory_resources.ledger.factory_verify import write_durably


def write_output(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file, and the folders that it lies in; a device or a pipe is written to.

    Raises:
        StorageError: it cannot be written.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(str(path), content, mode=mode)
