"""Markers of the runs in progress, by which the next run notices one whose process was killed.

What to do about such a run belongs to whoever asks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from factory_resources.home.home import Home, is_free, storage_errors


@contextmanager
def run_marker(home: Home) -> Iterator[None]:
    """Keep a locked file while the block runs; only a kill leaves it behind, and unlocks it.

    Raises:
        StorageError: the file cannot be written.
    """
    from filelock import FileLock

    marker = _folder(home) / uuid4().hex
    with storage_errors(marker):
        marker.parent.mkdir(exist_ok=True)
        lock = FileLock(marker)
        lock.acquire()
    try:
        yield
    finally:
        marker.unlink(missing_ok=True)
        lock.release()


def killed_runs(home: Home) -> list[Path]:
    """Return the markers whose process no longer exists."""
    folder = _folder(home)
    markers = sorted(folder.iterdir()) if folder.is_dir() else []
    return [marker for marker in markers if _is_left(marker)]


def _is_left(marker: Path) -> bool:
    # One that is gone by now is that of a run that has just ended.
    return marker.exists() and is_free(marker)


def _folder(home: Home) -> Path:
    return home.path / "running"
