"""The daemon retries a run whose process is killed, and training resumes at the last checkpoint.

Tested with a real factory and real kills: of the worker of a run, of the process above it, and of
everything at once.
"""

import contextlib
import os
import random
import re
import signal
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import psutil
import pytest

from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.stages import STAGES
from factory_resources.home.home import Home
from factory_resources.home.processes import process_number
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry
from factory_resources.tracking.run_history import PROCESS_TAG
from factory_resources.workers.run_processes import processes_of
from tests.commands import forked
from tests.e2e.test_partitions import Up
from tests.pipelines import APPLES, declare, write_apples
from tests.postgres import Postgres

pytestmark = [pytest.mark.slow, pytest.mark.long]
MODEL = {"kind": "mlp", "hidden": [16], "epochs": 60, "patience": 60, "batch_size": 16}
TRAIN = {
    "target": "label",
    "model": MODEL,
    "trainer": {"checkpoint": {"epochs": 1}},
    "refit": "never",
}
SHORT = {**TRAIN, "model": {**MODEL, "epochs": 20}}
RETRIED = 75.0
"""Seconds after the start of a factory within which it has begun to retry what was killed."""
VICTIMS = ("worker", "everything", "keeper")
_LAUNCH = """
mutation($job: String!) {
  launchRun(executionParams: {mode: "default", runConfigData: {}, selector: {
    repositoryLocationName: "factory", repositoryName: "__repository__", jobName: $job}}) {
    __typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}
  }
}"""
_LOGS = """
query($id: ID!) {logsForRun(runId: $id) {... on EventConnection {events {
  ... on MessageEvent {message}}}}}"""


def messages(up: Up, run: str) -> list[str]:
    events = up.ask(_LOGS, id=run)["logsForRun"]["events"]
    return [event["message"] for event in events if event.get("message")]


def worker(up: Up, run: str) -> int:
    """Wait until a run has a process, and return its number."""
    numbers: list[str] = []

    def started(_: Any) -> bool:
        numbers[:] = re.findall(r"\(pid: (\d+)\)", "\n".join(messages(up, run)))
        return bool(numbers)

    up.until(_LOGS, started, id=run)
    return int(numbers[0])


def test_a_training_whose_process_was_killed_is_retried_and_resumed(tmp_path: Path) -> None:
    folder, defs = tmp_path / "defs" / "apples", tmp_path / "defs"
    pipeline = declare(folder, {**APPLES, "train": TRAIN})
    write_apples(folder, rows=1000)
    up = Up(tmp_path / "home", defs)
    try:
        _retries_a_training(up)
    finally:
        up.stop()
    other_home = Home(tmp_path / "undisturbed")
    for stage in STAGES[: STAGES.index("train") + 1]:
        undisturbed = run_stage(StageRequest(pipeline, stage, other_home, "undisturbed"))
    trained = Records(up.home).latest("apples", "train")
    assert trained
    assert trained.value["digest"] == undisturbed.record.value["digest"]


def test_the_next_factory_retries_what_was_killed_with_everything(tmp_path: Path) -> None:
    folder, defs = tmp_path / "defs" / "apples", tmp_path / "defs"
    declare(folder, {**APPLES, "train": TRAIN})
    write_apples(folder, rows=1000)
    up = Up(tmp_path / "home", defs)
    try:
        killed = launch(up)
        process = keeper(up, killed)
        trains(up)
        kill(up, process, "everything")
        up = Up(up.home.path, defs)
        _retries_soon(up, killed)
    finally:
        up.stop()


def _retries_a_training(up: Up) -> None:
    """Kill the worker of a run: another run goes on from its checkpoint."""
    first = launch(up)
    process = worker(up, first)
    trains(up)
    os.kill(process, signal.SIGKILL)
    up.until(
        _LOGS, lambda _: [one["status"] for one in up.runs()] == ["SUCCESS", "FAILURE"], id=first
    )
    second = up.runs()[0]
    assert {"key": "dagster/parent_run_id", "value": first} in second["tags"]
    assert "from its checkpoint" in "\n".join(messages(up, second["runId"]))


def _retries_soon(up: Up, killed: str) -> None:
    """Wait until a run that was killed with everything is retried by the next factory."""
    started = time.monotonic()

    def told(_: Any) -> bool:
        # The page of the killed run says that there is another one, a moment after that is made.
        return "dagster/auto_retry_run_id" in _tags(up, killed)

    up.until(_LOGS, told, id=killed)
    took = time.monotonic() - started
    retry = _tags(up, killed)["dagster/auto_retry_run_id"]
    # And that one says whose retry it is.
    assert _tags(up, retry)["dagster/parent_run_id"] == killed
    assert _tags(up, retry)["dagster/retry_number"] == "1"
    assert {one["runId"]: one["status"] for one in up.runs()}[killed] == "FAILURE"
    assert took < RETRIED, f"the retry began after {took:.0f} s"


def _tags(up: Up, run: str) -> dict[str, str]:
    [tags] = [one["tags"] for one in up.runs() if one["runId"] == run]
    return {tag["key"]: tag["value"] for tag in tags}


def trains(up: Up, known: Collection[Path] = ()) -> set[Path]:
    """Wait until a training has stored a checkpoint that was not known, and return all of them."""
    deadline = time.monotonic() + 120
    while not (found := {*up.home.checkpoints.rglob("*.ckpt")}) - {*known}:
        assert time.monotonic() < deadline, up.runs()
        time.sleep(0.02)
    return found


def launch(up: Up, job: str = "apples") -> str:
    launched = up.ask(_LAUNCH, job=job)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run: str = launched["run"]["runId"]
    return run


def keeper(up: Up, run: str) -> psutil.Process:
    """Wait until a run has a process, and return the one above its worker."""
    found: list[str] = []

    def tagged(_: Any) -> bool:
        tags = next(one["tags"] for one in up.runs() if one["runId"] == run)
        found[:] = [tag["value"] for tag in tags if tag["key"] == PROCESS_TAG]
        return bool(found)

    up.until(_LOGS, tagged, id=run)
    return psutil.Process(process_number(found[0]))


def kill(up: Up, process: psutil.Process, victim: str) -> None:
    """Kill the victim, if the run has not ended already."""
    main = psutil.Process(up.running.process.pid)
    match victim:
        case "worker":
            victims = process.children() if process.is_running() else []
        case "keeper":
            victims = [process]
        case _:
            victims = [main, *main.children(recursive=True)]
    for one in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    if victim == "everything":
        up.client.close()
        up.running.process.communicate()


def end_of(up: Up, first: str) -> list[str]:
    """Wait until a run, or the last of its retries, has succeeded; return the ids of them all."""
    ids = [first]

    def done(_: Any) -> bool:
        runs = {one["runId"]: one for one in up.runs()}
        for run, one in runs.items():
            parent = {"key": "dagster/parent_run_id", "value": ids[-1]}
            if parent in one["tags"]:
                ids.append(run)
        return bool(runs[ids[-1]]["status"] == "SUCCESS")

    up.until(_LOGS, done, id=first)
    return ids


@pytest.mark.parametrize("prepared_engine", ["postgres"], indirect=True)
def test_a_run_on_postgres_killed_at_any_moment_ends_well(
    prepared_engine: str, postgres: Postgres, tmp_path: Path
) -> None:
    kills, victims = 8, (*VICTIMS, "server")
    folder, home = tmp_path / "defs" / "apples", Home(tmp_path / "home")
    declare(folder, {**APPLES, "train": SHORT})
    write_apples(folder, rows=300)
    moments = random.Random(kills)
    up = Up(home.path, tmp_path / "defs")
    try:
        first = launch(up)
        process, began = keeper(up, first), time.monotonic()
        assert end_of(up, first) == [first]
        lasts = time.monotonic() - began
        for number in range(kills):
            # Other rows, so that everything is computed.
            write_apples(folder, rows=301 + number)
            victim, moment = victims[number % len(victims)], moments.uniform(0, lasts)
            first = launch(up)
            process = keeper(up, first)
            time.sleep(moment)
            if victim == "server":
                postgres.stop()
                postgres.start()
            else:
                kill(up, process, victim)
            if victim == "everything":
                up = Up(home.path, tmp_path / "defs")
            ids = end_of(up, first)
            if victim == "server":
                # Its processes were not killed, and end a moment after their run.
                process.wait(timeout=60)
            told = f"{victim} after {moment:.2f} of {lasts:.2f} s: {ids}"
            assert len(ids) <= 2, told
            assert [*processes_of(first)] == [], told
            _require_whole(home, tmp_path / "defs", told)
    finally:
        up.stop()


def test_a_run_ends_well_whatever_dies_while_the_database_is_away(
    postgres: Postgres, prepared_tables: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(tmp_path / "defs" / "apples", {**APPLES, "train": SHORT})
    write_apples(tmp_path / "defs" / "apples", rows=300)
    with postgres.database(prepared_tables) as address:
        monkeypatch.setenv("FACTORY_DATABASE_URL", address)
        up = Up(tmp_path / "home", tmp_path / "defs")
        try:
            first = launch(up)
            process = worker(up, first)
            trains(up)
            postgres.stop()
            os.kill(process, signal.SIGKILL)
            daemon = up.home.path / "logs" / "daemon.log"
            while f"the worker of run {first} has ended" not in daemon.read_text():
                assert up.running.process.poll() is None
                time.sleep(0.1)
            known = {*up.home.checkpoints.rglob("*.ckpt")}
            postgres.start()
            up.until(_LOGS, lambda _: len(up.runs()) == 2, id=first)
            trains(up, known)
            # The worker and everything else goes on with another connection.
            postgres.stop()
            postgres.start()
            ids = end_of(up, first)
            failed = [one["status"] for one in up.runs() if one["runId"] != ids[-1]]
            log = "\n".join(messages(up, ids[1]))
        finally:
            up.stop()
        assert failed == ["FAILURE"] * (len(ids) - 1)
        served = (up.home.path / "logs" / "predictions.log").read_text()
        assert 1 <= served.count("the ledger cannot be read") <= 6, "it is not told once"
        assert "from its checkpoint" in log
        _require_whole(up.home, tmp_path / "defs", f"{ids}")


def _require_whole(home: Home, defs: Path, told: str) -> None:
    """Check that the ledger is whole, and that in MLflow nothing is unfinished."""
    verified = forked(home.path, FACTORY_DEFS=str(defs))("verify")
    assert verified.returncode == 0, told + verified.stdout + verified.stderr
    client = Registry(home).client
    experiments = [one.experiment_id for one in client.search_experiments()]
    running = client.search_runs(experiments, "attributes.status = 'RUNNING'")
    assert [*running] == [], told
