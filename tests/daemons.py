"""What Dagster's daemons do with the factory's pipelines, one step at a time, in this process."""

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Literal

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventType, JobFailureData, RunFailureReason
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget

TickStep = Literal["TICK_CREATED", "TICK_HELD", "RUN_CREATED", "RUN_LAUNCHED"]
"""Where Dagster lets the tick of a sensor be killed."""

_LOG = "tests.daemons"


@contextmanager
def workspace() -> Iterator[WorkspaceProcessContext]:
    """Open the instance that the environment names, with the code location of the factory."""
    target = LoadableTargetOrigin(
        executable_path=sys.executable, module_name="factory_assets.definitions"
    )
    origin = InProcessCodeLocationOrigin(target, location_name="factory")
    with (
        dg.DagsterInstance.get() as instance,
        create_test_daemon_workspace_context(
            InProcessWorkspaceLoadTarget(origin), instance
        ) as context,
    ):
        yield context


def tick_sensor(name: str, now: datetime, killed: TickStep | None = None) -> None:
    """Evaluate the sensors once, as the daemon does; runs are queued.

    Args:
        now: what the daemon takes for the time.
        killed: kill this process at this step of the named sensor.
    """
    from dagster._daemon.sensor import execute_sensor_iteration

    flags = {name: {killed: signal.SIGKILL}} if killed else None
    with workspace() as context, freeze_time(now):
        found = execute_sensor_iteration(
            context, logging.getLogger(_LOG), None, None, debug_crash_flags=flags
        )
        errors = [*filter(None, found)]
    assert errors == []


def tick_schedules(context: WorkspaceProcessContext, now: datetime) -> None:
    """Evaluate the schedules once, as the daemon does each minute; runs are queued."""
    from dagster._scheduler.scheduler import launch_scheduled_runs

    with freeze_time(now):
        found = launch_scheduled_runs(context, logging.getLogger(_LOG), now, iteration_times={})
        errors = [*filter(None, found)]
    assert errors == [], errors


def work_on(run_id: str) -> None:
    """Execute a queued run, as the process does that is started for it."""
    from dagster._cli.api import _execute_run_command_body

    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        starting = DagsterEvent(DagsterEventType.PIPELINE_STARTING.value, run.job_name)
        instance.report_dagster_event(starting, run_id)
        code = _execute_run_command_body(run_id, instance, lambda _: None, True)
        assert code == 0


def retry_dead(run_id: str) -> str:
    """Report that the process of a run has died, as run monitoring does; return its retry."""
    from dagster._daemon.auto_run_reexecution.auto_run_reexecution import (
        consume_new_runs_for_automatic_reexecution,
    )

    with workspace() as context:
        instance = context.instance
        run = instance.get_run_by_id(run_id)
        assert run is not None
        died = JobFailureData(None, failure_reason=RunFailureReason.UNEXPECTED_TERMINATION)
        instance.report_run_failed(run, job_failure_data=died)
        records = instance.get_run_records(dg.RunsFilter(run_ids=[run_id]))
        [*consume_new_runs_for_automatic_reexecution(context, records, logging.getLogger(_LOG))]
        [after] = instance.get_runs(dg.RunsFilter(tags={"dagster/parent_run_id": run_id}))
        return after.run_id
