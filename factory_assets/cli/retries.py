"""The daemon that retries a run whose process has died.

Dagster's own never looks again at a run that it could not retry, for instance because a disk was
full; nobody would run it again once there is room.
"""

from collections.abc import Callable, Iterator, Sequence
from logging import Logger
from typing import Any

import dagster as dg
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import (
    consume_new_runs_for_automatic_reexecution,
)
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon
from dagster._daemon.daemon import DaemonIterator

from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults

_Retry = Callable[[IWorkspaceProcessContext[Any], Sequence[dg.RunRecord], Logger], Iterator[None]]


class _NotStored(BaseException):
    """A retry could not be stored; after any other exception Dagster would go on."""

    def __init__(self, fault: StorageError) -> None:
        super().__init__()
        self.fault = fault


class RetryDaemon(EventLogConsumerDaemon):
    """Looks at the runs that have ended, and again at those that it could not retry."""

    @property
    def handle_updated_runs_fns(self) -> Sequence[_Retry]:
        return [_retry]

    def run_iteration(
        self, workspace_process_context: IWorkspaceProcessContext[Any]
    ) -> DaemonIterator:
        """Retry what has ended since the last iteration that has stored all of it.

        Raises:
            StorageError: something could not be stored; the next iteration looks again.
        """
        try:
            yield from super().run_iteration(workspace_process_context)
        except _NotStored as stop:
            raise stop.fault from None


def _retry(
    context: IWorkspaceProcessContext[Any], records: Sequence[dg.RunRecord], logger: Logger
) -> Iterator[None]:
    """Retry those of the runs that are to be; one that has a retry already gets no other."""
    faults = []
    for record in records:
        try:
            with storage_faults(Home.from_env()):
                yield from consume_new_runs_for_automatic_reexecution(context, [record], logger)
        except StorageError as fault:
            faults.append(fault)
    if faults:
        raise _NotStored(faults[0])
