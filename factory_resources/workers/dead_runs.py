"""End runs of Dagster whose process was killed, so that they are retried and hold nothing.

What other systems keep of such a run belongs in `reconcile`.
"""

from collections.abc import Sequence

import dagster as dg
from dagster._core.events import JobFailureData, RunFailureReason

from factory_resources.home.processes import is_alive
from factory_resources.tracking.run_history import PROCESS_TAG
from factory_resources.workers.run_processes import kill_processes_of

_WORKING = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)

_WAITING = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.NOT_STARTED)
"""What a daemon may be about to start. A run of `factory run` is not started for a moment, too."""

DIED = "the process of this run was killed"


def end_dead_runs(
    instance: dg.DagsterInstance, *, no_daemon: bool = False
) -> Sequence[dg.DagsterRun]:
    """End every run whose process no longer exists, and return them.

    Args:
        no_daemon: whether no daemon works for the instance, so that nobody is about to start the
            process of a run that waits for it.
    """
    statuses = [*_WORKING, *(_WAITING if no_daemon else ())]
    dead = [
        run
        for run in instance.get_runs(dg.RunsFilter(statuses=statuses))
        if _is_dead(run, no_daemon=no_daemon)
    ]
    for run in dead:
        end_dead_run(instance, run)
    return dead


def end_dead_run(instance: dg.DagsterInstance, run: dg.DagsterRun, why: str = DIED) -> None:
    """End a run whose process has died: as cancelled if somebody asked for that, else as failed."""
    kill_processes_of(run.run_id)
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run)
    else:
        by_hand = run.tags.get("dagster/max_retries") == "0"
        reason = JobFailureData(None, failure_reason=RunFailureReason.UNEXPECTED_TERMINATION)
        instance.report_run_failed(run, why + "; run it again" * by_hand, reason)
    # Otherwise a GPU that the run had claimed would never be free again.
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _is_dead(run: dg.DagsterRun, *, no_daemon: bool) -> bool:
    identity = run.tags.get(PROCESS_TAG)
    if identity is None:
        # Of a run that works, a command of Dagster's own may be the process.
        return no_daemon and run.status is dg.DagsterRunStatus.STARTING
    return not is_alive(identity)
