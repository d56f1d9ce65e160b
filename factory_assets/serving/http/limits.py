"""What one request, one connection and one caller may take of the server."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Beyond each of them a request is refused; none may make the server grow."""

    body: int = 4 << 20
    """Bytes of a body."""
    rows: int = 10_000
    """Rows of a request."""
    headers: int = 32 << 10
    """Bytes of a request before its body."""
    seconds: float = 10.0
    """Within which a request must have arrived."""
    idle: int = 60
    """Seconds that a connection may stay open without a request, or without reading an answer."""
    concurrent: int = 256
    """Requests that are answered at once."""
    connections: int = 1_000
    """Open connections."""
    waiting: int = 32
    """Requests that wait for the SQL engine or are computed beside the event loop."""

    @property
    def refused_body(self) -> int:
        """Bytes of a refused body that are still read: only then can its sender read why."""
        return 8 * self.body


class RateLimit:
    """A token bucket: so many requests a second, and as many at once.

    Args:
        rate: requests a second.
    """

    def __init__(self, rate: float) -> None:
        self._rate, self._burst = rate, max(1.0, rate)
        self._left, self._then = self._burst, time.monotonic()

    def take(self) -> float:
        """Take one request; return 0, or the seconds after which there is one again."""
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._then) * self._rate)
        self._then = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self._rate
