"""Runs whose process was killed end, so that they are retried; all others go on."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus

from factory_resources.home.home import Home
from factory_resources.home.processes import process_identity
from factory_resources.instance import prepare
from factory_resources.tracking.run_history import PROCESS_TAG
from factory_resources.workers.dead_runs import end_dead_runs
from factory_resources.workers.launcher import WorkerLauncher
from tests.pipelines import enter

pytestmark = pytest.mark.slow

DEAD = f"{2**30} gone by"
STARTED, STARTING = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING
CANCELING = dg.DagsterRunStatus.CANCELING
NOT_STARTED = dg.DagsterRunStatus.NOT_STARTED


@pytest.fixture
def instance(
    prepared_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    enter(tmp_path, monkeypatch)
    prepare(Home(tmp_path / "home"))
    with dg.DagsterInstance.get() as opened:
        yield opened


def add(
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus,
    process: str | None,
    **tags: str,
) -> dg.DagsterRun:
    """Add a run of that status whose tag identifies the process."""
    named = {name.replace("__", "/"): value for name, value in tags.items()}
    own = {**named, **({PROCESS_TAG: process} if process else {})}
    return instance.add_run(dg.DagsterRun("apples", status=status, tags=own))


def status(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found
    return found.status


def test_only_runs_without_a_process_end(instance: dg.DagsterInstance) -> None:
    alive = process_identity(os.getpid())
    started = add(instance, STARTED, DEAD)
    unwanted = add(instance, CANCELING, DEAD)
    others = [add(instance, STARTED, alive), add(instance, STARTED, None)]
    # Its daemon may be about to start its process; the tag is of the run that it retries.
    waiting = [add(instance, STARTING, DEAD), add(instance, STARTING, None)]
    ended = end_dead_runs(instance)
    assert {run.run_id for run in ended} == {started.run_id, unwanted.run_id}
    assert status(instance, started) is dg.DagsterRunStatus.FAILURE
    assert status(instance, unwanted) is dg.DagsterRunStatus.CANCELED
    assert [status(instance, run) for run in others] == [STARTED] * 2
    assert [status(instance, run) for run in waiting] == [STARTING] * 2
    ended = end_dead_runs(instance, no_daemon=True)
    assert {run.run_id for run in ended} == {run.run_id for run in waiting}
    assert [*end_dead_runs(instance, no_daemon=True)] == []


def test_a_run_whose_process_was_killed_before_it_began_ends(instance: dg.DagsterInstance) -> None:
    killed = add(instance, NOT_STARTED, DEAD)
    others = [
        add(instance, NOT_STARTED, process_identity(os.getpid())),
        add(instance, NOT_STARTED, None),
    ]
    assert [*end_dead_runs(instance)] == []
    assert [run.run_id for run in end_dead_runs(instance, no_daemon=True)] == [killed.run_id]
    assert status(instance, killed) is dg.DagsterRunStatus.FAILURE
    assert [status(instance, run) for run in others] == [NOT_STARTED] * 2


def test_a_run_of_the_command_is_not_retried(instance: dg.DagsterInstance) -> None:
    by_daemon = add(instance, STARTED, DEAD)
    by_hand = add(instance, STARTED, DEAD, dagster__max_retries="0")
    end_dead_runs(instance)
    told = {}
    for run in (by_daemon, by_hand):
        found = instance.get_run_by_id(run.run_id)
        assert found
        [failure] = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        assert failure.dagster_event
        told[run.run_id] = failure.dagster_event.message, found.tags["dagster/will_retry"]
    assert told == {
        by_daemon.run_id: ("the process of this run was killed", "true"),
        by_hand.run_id: ("the process of this run was killed; run it again", "false"),
    }


def test_the_launcher_of_the_home_knows_which_worker_has_died(
    instance: dg.DagsterInstance,
) -> None:
    launcher = instance.run_launcher
    assert isinstance(launcher, WorkerLauncher)
    dead = add(instance, STARTED, DEAD)
    others = [add(instance, STARTED, process_identity(os.getpid())), add(instance, STARTED, None)]
    assert launcher.check_run_worker_health(dead).status is WorkerStatus.FAILED
    assert [launcher.check_run_worker_health(run).status for run in others] == [
        WorkerStatus.RUNNING
    ] * 2
    # There is nothing to terminate.
    assert not launcher.terminate(dead.run_id)
    assert status(instance, dead) is STARTED


def test_a_worker_that_ends_while_it_is_cancelled_is_nothing_to_terminate(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = subprocess.Popen(["sleep", "60"])
    run = add(instance, STARTED, process_identity(worker.pid))
    report = instance.report_run_canceling

    def end_and_report(run: dg.DagsterRun) -> None:
        worker.kill()
        worker.wait()
        report(run)

    monkeypatch.setattr(instance, "report_run_canceling", end_and_report)
    assert not instance.run_launcher.terminate(run.run_id)
    end_dead_runs(instance)
    assert status(instance, run) is dg.DagsterRunStatus.CANCELED
