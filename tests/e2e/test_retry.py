"""The daemon retries a run whose process is killed, and training resumes at the last checkpoint.

Kills at any moment, of any process, are in `test_kills_under_load`.
"""

import os
import re
import signal
import time
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
from factory_resources.tracking.run_history import PROCESS_TAG
from tests.e2e.test_partitions import Up
from tests.pipelines import APPLES, declare, write_apples

pytestmark = pytest.mark.slow
MODEL = {"kind": "mlp", "hidden": [16], "epochs": 150, "patience": 150, "batch_size": 16}
TRAIN = {"target": "label", "model": MODEL, "trainer": {"checkpoint": {"epochs": 1}}}
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


def test_a_killed_training_is_retried_and_resumed(tmp_path: Path) -> None:
    folder = tmp_path / "defs" / "apples"
    pipeline = declare(folder, {**APPLES, "train": TRAIN})
    write_apples(folder, rows=2000)
    up = Up(tmp_path / "home", tmp_path / "defs")
    try:
        first = launch(up)
        process = worker(up, first)
        deadline = time.monotonic() + 120
        while not [*up.home.checkpoints.rglob("*.ckpt")]:
            assert time.monotonic() < deadline, messages(up, first)
            time.sleep(0.02)
        os.kill(process, signal.SIGKILL)
        runs = "{runsOrError {... on Runs {results {runId status tags {key value}}}}}"
        up.until(
            runs,
            lambda data: (
                [r["status"] for r in data["runsOrError"]["results"]] == ["SUCCESS", "FAILURE"]
            ),
        )
        second = up.runs()[0]
        assert {"key": "dagster/parent_run_id", "value": first} in second["tags"]
        log = "\n".join(messages(up, second["runId"]))
    finally:
        up.stop()
    assert "from its checkpoint" in log
    trained = Records(up.home).latest("apples", "train")
    assert trained
    other_home = Home(tmp_path / "undisturbed")
    for stage in STAGES[: STAGES.index("train") + 1]:
        undisturbed = run_stage(StageRequest(pipeline, stage, other_home, "undisturbed"))
    assert trained.value["digest"] == undisturbed.record.value["digest"]


def launch(up: Up) -> str:
    launched = up.ask(_LAUNCH, job="apples")["launchRun"]
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
