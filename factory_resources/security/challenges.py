"""Random numbers that a device signs: each counts once, for two minutes, and for one asker."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict

VALID = 120
"""Seconds for which a challenge counts."""

_MOST = 10_000
"""Challenges that are remembered; of more, the oldest are forgotten."""


class Challenges:
    """The challenges of one process; may be used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    def new(self, asker: str) -> bytes:
        """Return 32 random bytes; an earlier challenge of the same asker counts no more."""
        challenge = secrets.token_bytes(32)
        with self._lock:
            self._waiting.pop(asker, None)
            self._waiting[asker] = challenge, time.monotonic() + VALID
            if len(self._waiting) > _MOST:
                self._waiting.popitem(last=False)
        return challenge

    def take(self, asker: str) -> bytes | None:
        """Return the asker's challenge if it counts; from now on it does not."""
        with self._lock:
            challenge, until = self._waiting.pop(asker, (b"", 0.0))
        return challenge if time.monotonic() < until else None
