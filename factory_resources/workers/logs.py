"""Files with what the workers of runs print; the newest ones are kept."""

from pathlib import Path
from typing import IO

from factory_resources.home.home import Home, storage_errors

KEPT = 100
"""Number of files that stay."""


def run_log_file(home: Home, run_id: str) -> Path:
    """Return the file of a run."""
    return home.path / "logs" / "runs" / f"{run_id}.log"


def open_log(home: Home, run_id: str) -> IO[bytes]:
    """Open the file of a run to append to it, and remove the oldest of too many others.

    Raises:
        StorageError: the folder cannot be written.
    """
    path = run_log_file(home, run_id)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
        written = sorted(path.parent.glob("*.log"), key=_changed, reverse=True)
        for old in written[KEPT:]:
            if old != path:
                old.unlink(missing_ok=True)
        return file


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
