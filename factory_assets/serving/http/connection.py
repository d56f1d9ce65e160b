"""HTTP connections that cannot be held open: uvicorn's protocol with limits before the body."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from factory_assets.serving.http.limits import Limits


def limited(limits: Limits) -> type[HttpToolsProtocol]:
    """Return the protocol class, whose connections are closed at these limits."""

    class LimitedProtocol(HttpToolsProtocol):
        """Closes a connection that sends headers slowly or without an end."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._before_body = 0
            self._deadline: asyncio.TimerHandle | None = None
            if len(self.connections) > limits.connections:
                transport.abort()
                return
            self._await_headers()

        def data_received(self, data: bytes) -> None:
            if self._deadline is None and self._is_between():
                self._await_headers()
            if self._deadline is not None:
                self._before_body += len(data)
            super().data_received(data)
            if self._deadline is not None and self._before_body > limits.headers:
                self.transport.abort()

        def on_headers_complete(self) -> None:
            self._stop_waiting()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _is_between(self) -> bool:
            cycle: Any = self.cycle
            return cycle is None or cycle.response_complete

        def _await_headers(self) -> None:
            self._before_body = 0
            self._deadline = self.loop.call_later(limits.seconds, self.transport.abort)

        def _stop_waiting(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return LimitedProtocol
