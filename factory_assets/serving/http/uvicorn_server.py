"""uvicorn's server as the factory runs it: stopped by a call, and asleep while nobody asks.

Which signals stop it, and what is closed then, belongs to the process that runs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn

_TICK = 1.0
"""Seconds between two looks at the clock, for the header `date`. uvicorn itself takes 0.1."""


class UvicornServer(uvicorn.Server):
    """Serves until `stop` is called in its event loop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process: uvicorn's handlers leave no time to clean up."""
        yield

    async def main_loop(self) -> None:
        """Wait until `stop` is called."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _TICK)

    def stop(self) -> None:
        """Answer what was asked, then end; a second call does not wait for slow readers."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._stopping.set()
