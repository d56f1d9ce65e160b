"""Processes of this machine that work, started before it is known what they are asked.

While the run imports what it needs itself, they do the same. How one is reached belongs in
`connection`, what it is told, in `protocol`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from factory_assets.execution.workers.connection import LocalConnection, WorkerEnded

if TYPE_CHECKING:
    from factory_assets.execution.workers.protocol import WorkerSetup


class LocalProcesses:
    """Starts processes, and has some ready.

    A Dagster resource, so that a caller can supply its own.
    """

    def __init__(self) -> None:
        self._ready: list[LocalConnection] = []
        # A process ends with the thread that has started it, so that one thread starts them all.
        self._starter = ThreadPoolExecutor(1)

    def prepare(self, count: int) -> None:
        """Start so many processes as are missing for that number of ready ones."""
        missing = count - len(self._ready)
        self._ready += [self._started() for _ in range(missing)]

    def connect(self, setup: WorkerSetup, environment: Mapping[str, str]) -> LocalConnection:
        """Return a process that works on requests, a ready one if there is one.

        Args:
            setup: what all requests have in common.
            environment: variables that it has beside those of the run.
        """
        from factory_assets.execution.workers.protocol import line_of

        line = line_of(setup.model_copy(update={"environment": dict(environment)}))
        while self._ready:
            # Threads take them at the same time; one may have been killed meanwhile.
            with suppress(IndexError, WorkerEnded):
                ready = self._ready.pop()
                ready.send(line)
                return ready
        started = self._started()
        started.send(line)
        return started

    def close(self) -> None:
        """End the processes that nobody has asked for anything."""
        while self._ready:
            self._ready.pop().remove()
        self._starter.shutdown()

    def _started(self) -> LocalConnection:
        return self._starter.submit(LocalConnection, __package__, (), os.environ).result()


@contextmanager
def local_processes() -> Iterator[LocalProcesses]:
    """Yield the processes of a run; end those that are left over."""
    processes = LocalProcesses()
    try:
        yield processes
    finally:
        processes.close()
