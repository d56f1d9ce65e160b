"""End what dead processes have left: runs of Dagster and MLflow, scratch, unfinished files.

It may run at any time and again: what is alive, and what has ended, stays as it is.
"""

from collections.abc import Iterator
from contextlib import suppress

import dagster as dg

from factory_resources.errors import StorageError
from factory_resources.home.garbage import left_behind, remove
from factory_resources.home.home import Home
from factory_resources.home.run_markers import killed_runs
from factory_resources.tracking.dead_runs import end_all_dead_runs
from factory_resources.tracking.registry import Registry
from factory_resources.workers.dead_runs import end_dead_runs


def reconcile(home: Home) -> Iterator[str]:
    """End what dead processes have left, and yield a line for each kind of it.

    No daemon works for the home, and the environment names its Dagster instance.

    Raises:
        StorageError: the home or a database cannot be written, or is damaged.
    """
    # Before Dagster is asked, as a run that dies later leaves another marker.
    markers = killed_runs(home)
    with dg.DagsterInstance.get() as instance:
        for run in end_dead_runs(instance, no_daemon=True):
            yield f"run {run.run_id[:8]} of {run.job_name}: its process was killed"
    for marker in markers:
        marker.unlink(missing_ok=True)
    if ended := end_all_dead_runs(Registry(home)):
        yield f"MLflow: marked {_count(ended, 'run')} of killed processes as failed"
    # While a run works, what is unfinished may be its own.
    with suppress(StorageError), home.alone():
        garbage = [item for item in left_behind(home) if item.kind == "scratch"]
        remove(garbage)
        if garbage:
            size = sum(item.bytes for item in garbage)
            yield f"removed {_count(len(garbage), 'unfinished file')} ({size / 1e6:.1f} MB)"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
