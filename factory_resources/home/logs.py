"""Logs of services in the home: begin one anew, and keep each from growing without end.

A service goes on writing to the file that it has open, so its log is copied and then emptied. What
it writes between the two is lost.
"""

import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from factory_resources.home.home import storage_errors

_LARGEST = 10_000_000
"""Bytes of a log before it is set aside."""

_OLD = 3
"""Earlier parts of each log that are kept: `door.log.1` is the newest."""

_TRACEBACKS = 100
"""Files with tracebacks that are kept, the newest."""

_PAUSE = 60.0
"""Seconds between two looks at the sizes."""


def begin_log(path: Path) -> BinaryIO:
    """Set the previous log aside, and open a new one, which may be emptied while it is written.

    Where there is no room for that, the previous one goes on.

    Raises:
        StorageError: the folder cannot be written.
    """
    with storage_errors(path):
        # Somebody may have removed all logs.
        path.parent.mkdir(exist_ok=True)
        with suppress(OSError):
            if path.exists() and path.stat().st_size:
                set_aside(path)
                path.unlink()
        return path.open("ab")


class LogRotation:
    """Looks at the sizes of logs from time to time.

    Args:
        folder: in which they are.
        largest: bytes of a log before it is set aside.
    """

    def __init__(self, folder: Path, largest: int = _LARGEST) -> None:
        self._folder, self._largest = folder, largest
        self._next = 0.0

    def look(self) -> None:
        """Do what is to be done, unless that was within the minute; a full disk waits."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _PAUSE
        with suppress(OSError):
            self.rotate()

    def rotate(self) -> None:
        """Set aside what is too large, and remove the oldest tracebacks."""
        tracebacks = sorted(self._folder.glob("error-*.log"))
        _remove(tracebacks[:-_TRACEBACKS])
        for path in {*self._folder.glob("*.log")} - {*tracebacks}:
            if path.stat().st_size > self._largest:
                set_aside(path)
                os.truncate(path, 0)


def set_aside(path: Path) -> None:
    """Copy a log to the first of its earlier parts, behind which the others move up."""
    parts = [path.with_name(f"{path.name}.{number}") for number in range(1, _OLD + 1)]
    for newer, older in reversed([*pairwise(parts)]):
        if newer.exists():
            newer.replace(older)
    shutil.copyfile(path, parts[0])
    parts[0].chmod(0o600)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
