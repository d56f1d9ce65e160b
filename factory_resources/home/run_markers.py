"""Markers of the runs in progress, by which the next run notices one whose process was killed.

What to do about such a run belongs to whoever asks.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from factory_resources.home.home import Home, storage_errors
from factory_resources.home.processes import process_identity


@contextmanager
def run_marker(home: Home) -> Iterator[None]:
    """Keep a file that identifies this process while the block runs; only a kill leaves it behind.

    Raises:
        StorageError: the file cannot be written.
    """
    marker = _folder(home) / _name(os.getpid())
    with storage_errors(marker):
        marker.parent.mkdir(exist_ok=True)
        marker.touch()
    try:
        yield
    finally:
        marker.unlink(missing_ok=True)


def killed_runs(home: Home) -> list[Path]:
    """Return the markers whose process no longer exists."""
    folder = _folder(home)
    markers = sorted(folder.iterdir()) if folder.is_dir() else []
    return [marker for marker in markers if _name(int(marker.name.split(".")[0])) != marker.name]


def _folder(home: Home) -> Path:
    return home.path / "running"


def _name(pid: int) -> str:
    return process_identity(pid).replace(" ", ".")
