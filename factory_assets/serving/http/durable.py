"""Make answers durable before they are sent, with one write for each tick of the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from factory_resources.errors import StorageError

if TYPE_CHECKING:
    from factory_resources.prediction_log.journal import Journal


class DurableLog:
    """The journal of one server, used from its event loop.

    Args:
        journal: written by nobody else.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._waiting: list[asyncio.Future[None]] = []

    def write(self, identifier: bytes, record: bytes) -> asyncio.Future[None]:
        """Add a record; the result is there when it is durable.

        Raises (from the future):
            StorageError: it cannot be written, and must not be answered.
        """
        self._journal.append(identifier, record)
        durable = self._loop.create_future()
        if not self._waiting:
            # The requests that arrived in this tick are computed before it ends.
            self._loop.call_soon(self._flush)
        self._waiting.append(durable)
        return durable

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            self._journal.flush()
        except StorageError as error:
            for durable in waiting:
                if not durable.done():
                    durable.set_exception(error)
            return
        for durable in waiting:
            if not durable.done():
                durable.set_result(None)
