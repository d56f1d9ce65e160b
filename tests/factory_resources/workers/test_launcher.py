"""The launcher ends a run whose worker has died, as soon as that can be stored.

How workers start and end is tested end to end, with a factory that is up.
"""

import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import should_retry

from factory_resources.errors import FactoryError
from factory_resources.home.home import Home
from factory_resources.home.processes import process_identity
from factory_resources.instance import prepare
from factory_resources.tracking.run_history import PROCESS_TAG
from factory_resources.workers.launcher import WorkerLauncher
from tests.disks import small_disk
from tests.pipelines import APPLES, declare

pytestmark = pytest.mark.slow


def test_a_run_whose_worker_died_on_a_full_disk_is_ended_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk", 64_000_000) as disk:
        home = Home(disk.folder / "home")
        enter(home, monkeypatch)
        prepare(home)
        with dg.DagsterInstance.get() as instance:
            run_id = str(uuid.uuid4())
            run = dg.DagsterRun("apples", run_id=run_id, status=dg.DagsterRunStatus.STARTED)
            instance.run_storage.add_run(run)
            launcher = instance.run_launcher
            assert isinstance(launcher, WorkerLauncher)
            worker = subprocess.Popen(["false"])
            launcher._workers[run_id] = worker
            watching = threading.Thread(target=launcher._watch, args=(run_id, worker))
            with disk.filled(0):
                watching.start()
                # Nothing can be read either, so nobody sees that it was tried.
                time.sleep(1)
            watching.join(60)
            ended = instance.get_run_by_id(run_id)
            assert ended is not None
            assert ended.status is dg.DagsterRunStatus.FAILURE
            assert run_id not in launcher._workers


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("launcher") / "home")
    with pytest.MonkeyPatch.context() as patch:
        enter(home, patch)
        prepare(home)
    return home


@pytest.fixture
def home(prepared: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    enter(prepared, monkeypatch)
    return prepared


def enter(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_run_that_cannot_be_settled_is_not_called_healthy(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: WorkerLauncher, run: dg.DagsterRun, code: int) -> None:
        raise FactoryError("the ledger is damaged")

    monkeypatch.setattr(WorkerLauncher, "worker_ended", fail)
    with dg.DagsterInstance.get() as instance:
        run_id, launcher = str(uuid.uuid4()), instance.run_launcher
        assert isinstance(launcher, WorkerLauncher)
        worker = subprocess.Popen(["true"])
        run = dg.DagsterRun(
            "apples",
            run_id=run_id,
            status=dg.DagsterRunStatus.STARTED,
            tags={PROCESS_TAG: process_identity(worker.pid)},
        )
        instance.run_storage.add_run(run)
        launcher._workers[run_id] = worker
        watching = threading.Thread(target=launcher._watch, args=(run_id, worker))
        watching.start()
        watching.join(60)
        assert launcher.check_run_worker_health(run).status is WorkerStatus.FAILED


def test_a_run_that_cannot_be_started_ends_with_the_reason_and_is_not_retried(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    declaration = tmp_path / "defs" / "apples" / "defs.yaml"
    declaration.parent.mkdir(parents=True)
    declaration.write_text("type: nothing")
    repository = RepositoryPythonOrigin(sys.executable, ModuleCodePointer("factory_assets", "defs"))
    with dg.DagsterInstance.get() as instance:
        run = dg.DagsterRun(
            "apples",
            run_id=str(uuid.uuid4()),
            status=dg.DagsterRunStatus.STARTING,
            job_code_origin=JobPythonOrigin("apples", repository),
        )
        instance.run_storage.add_run(run)
        instance.run_launcher.launch_run(LaunchRunContext(run, None))
        [entry] = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        assert "apples/defs.yaml:1: 'attributes' is missing" in str(
            entry.get_dagster_event().message
        )
        ended = instance.get_run_by_id(run.run_id)
        assert ended is not None
        assert not should_retry(ended, instance)


def test_a_run_that_was_cancelled_as_it_left_the_queue_is_not_started(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    declare(tmp_path / "defs" / "apples", APPLES)
    repository = RepositoryPythonOrigin(sys.executable, ModuleCodePointer("factory_assets", "defs"))
    with dg.DagsterInstance.get() as instance:
        run = dg.DagsterRun(
            "apples",
            run_id=str(uuid.uuid4()),
            status=dg.DagsterRunStatus.NOT_STARTED,
            job_code_origin=JobPythonOrigin("apples", repository),
        )
        instance.run_storage.add_run(run)
        instance.report_run_canceled(run)
        starting = dg.DagsterEvent(dg.DagsterEventType.RUN_STARTING.value, "apples")
        instance.report_dagster_event(starting, run.run_id)
        instance.run_launcher.launch_run(LaunchRunContext(run, None))
        ended = instance.get_run_by_id(run.run_id)
        assert ended is not None
        assert ended.status is dg.DagsterRunStatus.CANCELED
        assert PROCESS_TAG not in ended.tags
