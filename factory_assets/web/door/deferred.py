"""Applications that take seconds to import are made while the first page is already there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

from factory_resources.security.request_guard import App, Message, Receive, Send


class Deferred:
    """An ASGI application that is made in a thread; requests wait until it is there.

    Args:
        make: returns the application.
        failed: hears that it could not be made.
    """

    def __init__(
        self, make: Callable[[], App], executor: Executor, failed: Callable[[BaseException], None]
    ) -> None:
        self._made: asyncio.Future[App] = asyncio.get_running_loop().run_in_executor(executor, make)
        self._made.add_done_callback(lambda made: self._hear(made, failed))

    def _hear(self, made: asyncio.Future[App], failed: Callable[[BaseException], None]) -> None:
        if not made.cancelled() and (error := made.exception()):
            failed(error)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        # One caller who goes away must not cancel it for all.
        app = await asyncio.shield(self._made)
        await app(scope, receive, send)
