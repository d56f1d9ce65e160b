"""Results that take long to compute, remembered for whoever asks for the same again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Results by their key; may be used by several threads.

    Args:
        most: how many are remembered; those that were computed first are forgotten first.
    """

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._known: dict[K, V] = {}

    def get(self, key: K, compute: Callable[[], V]) -> V:
        """Return the result of a key; compute it if it is not known.

        Two threads that ask for it at the same time may both compute it.
        """
        with self._lock:
            if key in self._known:
                return self._known[key]
        value = compute()
        with self._lock:
            self._known[key] = value
            while len(self._known) > self._most:
                del self._known[next(iter(self._known))]
        return value
