"""uvicorn's server as the factory runs it: stopped by a call, and asleep while nobody asks.

Which signals stop it, and what is closed then, belongs to the process that runs it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn

from factory_assets.serving.http.certificate import CertificateWatch

_TICK = 1.0
"""Seconds between two looks at the clock, for the header `date`, and at the files of a certificate.
uvicorn itself takes 0.1."""

_LATE = 0.05
"""Seconds between two looks for connections that opened while the server was being stopped."""


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
        certificate = _watched(self.config)
        while not await self.on_tick(0):
            if certificate:
                certificate.look()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _TICK)

    def stop(self) -> None:
        """Answer what was asked, then end; a second call does not wait for slow readers."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._stopping.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close connections when they are idle, those that opened in this moment as well."""
        late = asyncio.create_task(self._close_late(set(self.server_state.connections)))
        try:
            await super().shutdown(sockets)
        finally:
            late.cancel()

    async def _close_late(self, told: set[object]) -> None:
        # uvicorn tells the connections that it knows, once. One that was accepted just before
        # is made just after, and its client could ask on until the time for a shutdown is over.
        while True:
            await asyncio.sleep(_LATE)
            for connection in self.server_state.connections - told:
                told.add(connection)
                connection.shutdown()


def _watched(config: uvicorn.Config) -> CertificateWatch | None:
    if not (config.ssl and config.ssl_certfile and config.ssl_keyfile):
        return None
    return CertificateWatch(Path(config.ssl_certfile), Path(config.ssl_keyfile), config.ssl)
