"""Whose turn it is where one thing is computed at a time: few wait, and not for long.

Each of them holds one of the threads in which the pages of all are made.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from factory_resources.errors import StorageError

_WAITING = 4


class ComputingTurns:
    """The turns of one kind of computation.

    Args:
        what: is computed, as in `another file is being made`.
        seconds: for which somebody waits.
    """

    def __init__(self, what: str, seconds: float) -> None:
        self._what, self._seconds = what, seconds
        self._lock, self._places = threading.Lock(), threading.Semaphore(1 + _WAITING)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and have it in the block.

        Raises:
            StorageError: too many wait, or the others took too long.
        """
        if not self._places.acquire(blocking=False):
            raise self._busy()
        try:
            if not self._lock.acquire(timeout=self._seconds):
                raise self._busy()
            try:
                yield
            finally:
                self._lock.release()
        finally:
            self._places.release()

    def _busy(self) -> StorageError:
        return StorageError(self._what, remedy="try again in a minute")
