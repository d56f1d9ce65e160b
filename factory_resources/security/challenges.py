"""Challenges that devices sign: each is valid once, for some minutes, and for one asker."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict

VALID = 120
"""Seconds for which the challenge of a login counts."""

_MOST = 10_000
"""Challenges that are remembered; of more, the oldest are forgotten."""


class Challenges:
    """The challenges of one process; may be used by several threads.

    Args:
        valid: seconds for which each counts.
    """

    def __init__(self, valid: int = VALID) -> None:
        self._valid = valid
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, tuple[bytes, float]] = OrderedDict()

    def new(self, asker: str, content: bytes = b"") -> bytes:
        """Return what waits from now on; what waited for the same asker counts no more.

        Args:
            content: what the asker shall answer to; 32 random bytes if it is empty.
        """
        challenge = content or secrets.token_bytes(32)
        with self._lock:
            self._waiting.pop(asker, None)
            self._waiting[asker] = challenge, time.monotonic() + self._valid
            if len(self._waiting) > _MOST:
                self._waiting.popitem(last=False)
        return challenge

    def take(self, asker: str) -> bytes | None:
        """Return what waits for the asker if it counts; from now on it does not."""
        with self._lock:
            challenge, until = self._waiting.pop(asker, (b"", 0.0))
        return challenge if time.monotonic() < until else None
