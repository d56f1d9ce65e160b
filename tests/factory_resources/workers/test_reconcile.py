"""What killed processes have left is ended at the next start, told, and told once."""

import os
import signal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from factory_resources.home.home import Home
from factory_resources.home.processes import process_identity
from factory_resources.home.run_markers import run_marker
from factory_resources.instance import prepare
from factory_resources.tracking.registry import Registry
from factory_resources.tracking.run import Signature, open_run
from factory_resources.tracking.run_history import PROCESS_TAG
from factory_resources.workers.reconcile import reconcile
from tests.engines import server_in_long
from tests.killed_steps import run_killed
from tests.pipelines import enter

pytestmark = pytest.mark.slow


def _die() -> None:
    """Die after MLflow has stored the files of a model, before it says so."""
    home = Home.from_env()
    with dg.DagsterInstance.get() as instance, run_marker(home), home.scratch() as scratch:
        tags = {PROCESS_TAG: process_identity(os.getpid())}
        instance.add_run(dg.DagsterRun("apples", status=dg.DagsterRunStatus.STARTED, tags=tags))
        (scratch / "weights").write_bytes(b"numbers")
        with open_run(Registry(home), "apples", "candidate", {}, started=1_000) as run:
            client: Any = run.registry.client
            client.finalize_logged_model = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
            run.register(scratch, Signature({"a": "float"}, "prediction", None), {"a": 1.0}, {})


@pytest.fixture
def killed(prepared_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home in which a process has died amid everything."""
    enter(tmp_path, monkeypatch)
    home = Home(tmp_path / "home")
    prepare(home)
    run_killed(_die)
    return home


def statuses(home: Home) -> tuple[list[str], list[str], list[str]]:
    """Return the statuses of the runs and models in MLflow, and of the runs in Dagster."""
    client = Registry(home).client
    experiments = [one.experiment_id for one in client.search_experiments()]
    with dg.DagsterInstance.get() as instance:
        return (
            sorted(run.info.status for run in client.search_runs(experiments)),
            sorted(str(model.status) for model in client.search_logged_models(experiments)),
            sorted(run.status.value for run in instance.get_runs()),
        )


def unfinished(home: Home) -> list[Path]:
    found = [*home.artifacts.glob("*/models/*"), *home.tmp.glob("*-*")]
    return [*found, *(home.path / "running").iterdir()]


def test_everything_of_a_killed_process_is_ended(killed: Home) -> None:
    assert statuses(killed) == (["RUNNING"], ["PENDING"], ["STARTED"])
    assert len(unfinished(killed)) == 3
    told = [*reconcile(killed)]
    assert [line.split(" (")[0].split(" of apples")[-1] for line in told] == [
        ": its process was killed",
        "MLflow: marked 1 run of killed processes as failed",
        "removed 1 unfinished file",
    ]
    assert statuses(killed) == (["FAILED"], ["FAILED"], ["FAILURE"])
    assert unfinished(killed) == []
    assert [*reconcile(killed)] == []


@server_in_long("prepared_engine")
def test_what_a_living_process_does_goes_on(killed: Home) -> None:
    own = {PROCESS_TAG: f"{os.getppid()} unknown"}
    with (
        open_run(Registry(killed), "pears", "mine", {}, started=1_000) as run,
        killed.working(),
        killed.scratch() as scratch,
        dg.DagsterInstance.get() as instance,
    ):
        instance.add_run(dg.DagsterRun("pears", status=dg.DagsterRunStatus.SUCCESS, tags=own))
        told = [*reconcile(killed)]
        assert len(told) == 2
        assert scratch.is_dir()
        assert run.registry.client.get_run(run.run_id).info.status == "RUNNING"
