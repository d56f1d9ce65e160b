"""What one request, one connection and one caller may take of the server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from factory_assets.serving.http.errors import HttpError

T = TypeVar("T")


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


class LimitedThread:
    """A thread beside the event loop, for which not too many requests wait.

    Args:
        most: how many wait, at most.
        busy: what a request is told if too many do.
    """

    def __init__(self, thread: Executor, most: int, busy: str) -> None:
        self._thread, self._most, self._busy = thread, most, busy
        self._waiting = 0

    async def run(self, work: Callable[[], T]) -> T:
        """Compute in the thread.

        Raises:
            HttpError: status 429, too many requests wait for it.
        """
        if self._waiting >= self._most:
            raise HttpError(429, "overload", self._busy, "try again", retry=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1
