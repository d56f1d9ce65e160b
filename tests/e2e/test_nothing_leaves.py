"""A demo, a factory that is up, and a served day: no packet and no question for a name leaves.

In a network of its own with a resolver that lies; every packet in it is looked at. What runs inside
a boundary is tested elsewhere: here runs have none, so that nothing but good manners keeps them.
Until the evening, the demo is one that ran outside, and a pipeline of it runs again.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from factory_assets.defs.machine_failure.telemetry import simulate
from factory_resources.home.home import PROJECT
from tests.commands import command
from tests.e2e.conftest import Demo
from tests.factory_resources.boundary.machine import needs_namespaces
from tests.pipelines import APPLES, declare, write_apples

pytestmark = [pytest.mark.slow, needs_namespaces]

_NETWORK = PROJECT / "tests" / "quiet_network.py"
_EACH_MINUTE = {"cron": "* * * * *", "enabled": True}
_ASK = """
import socket, urllib.request
socket.getaddrinfo("vendor.example", 443)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    one.sendto(b"hello", ("198.51.100.9", 9999))
"""
_DAY = '''
import sys, time
from pathlib import Path
import httpx
from tests.commands import command, forked
from tests.running_factory import RunningFactory, ask_graphql

MODELS = "/mlflow/ajax-api/2.0/mlflow/registered-models/search?max_results=10"
LAUNCH = """
mutation($job: String!) {
  launchRun(executionParams: {mode: "default", runConfigData: {}, selector: {
    repositoryLocationName: "factory", repositoryName: "__repository__", jobName: $job}}) {
    __typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}
  }
}"""
RUN = "query($id: ID!) {runOrError(runId: $id) {... on Run {status}}}"
SCHEDULED = "{runsOrError {... on Runs {results {status tags {key value}}}}}"
home, file, NIGHT = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "night"

def rows():
    import json, pyarrow.csv
    return json.dumps(pyarrow.csv.read_csv(file).slice(0, 20).to_pylist(), default=str)

def scheduled(client):
    """Whether each schedule of the test has run: that of a pipeline, and that of its looks."""
    runs = ask_graphql(client, SCHEDULED)["runsOrError"]["results"]
    done = {tag["value"] for run in runs for tag in run["tags"]
            if tag["key"] == "dagster/schedule_name" and run["status"] == "SUCCESS"}
    return len(done) == 2

def factory(*arguments, by=command(home)):
    done = by(*arguments)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout

if NIGHT:
    factory("demo")
factory("predict", "machine_failure", file)
up = RunningFactory(home)
try:
    client = up.enter()
    for page in ("/", "/dagster", "/dagster/assets", "/mlflow/", "/me", MODELS):
        answer = client.get(page, follow_redirects=True)
        assert answer.status_code == 200, (page, answer.status_code)
    run = ask_graphql(client, LAUNCH, job="tumour_diagnosis")["launchRun"]["run"]["runId"]
    while (state := ask_graphql(client, RUN, id=run)["runOrError"]["status"]) != "SUCCESS":
        assert state != "FAILURE"
        time.sleep(1)
    served = f"http://127.0.0.1:{up.ports[1]}"
    assert httpx.get(f"{served}/openapi.json", timeout=60).status_code == 200
    answered = httpx.post(f"{served}/predict/machine_failure", content=rows(), timeout=60)
    assert answered.status_code == 200, answered.text
    told = [{"id": one["id"], "outcome": 0} for one in answered.json()["predictions"][:5]]
    assert httpx.post(f"{served}/feedback", json=told, timeout=60).status_code == 200
    while NIGHT and not scheduled(client):
        time.sleep(1)
    client.close()
finally:
    up.stop()
for arguments in (
    ("monitor", "machine_failure"),
    ("dossier", "machine_failure@1"),
    ("evidence", "machine_failure@1", "--out", home.parent / "evidence.zip"),
    ("status",),
    ("verify",),
    ("backup", home.parent / "backups"),
    ("gc",),
):
    # In the evening they import once for all of them.
    factory(*arguments, by=command(home) if NIGHT else forked(home))
print("the day is over")
'''


def _in_network(script: str, *arguments: object, **variables: str) -> tuple[str, str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(
        [sys.executable, str(_NETWORK), str(PROJECT), *command],
        env={**os.environ, "PYTHONPATH": str(PROJECT), **variables},
        capture_output=True,
        text=True,
        timeout=560,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, done.stderr


def test_the_observer_sees_what_leaves() -> None:
    output, _ = _in_network(_ASK)
    assert "left: a question for a name: b'\\x06vendor\\x07example" in output
    assert "left: a packet to 198.51.100.9, port 9999 (" in output


@pytest.mark.parametrize("until", ["evening", pytest.param("night", marks=pytest.mark.long)])
def test_nothing_leaves(until: str, demo: Demo, tmp_path: Path) -> None:
    file, home = tmp_path / "rows.csv", tmp_path / "home"
    simulate(rows=50, seed=3).to_pandas().to_csv(file, index=False)
    variables = {"FACTORY_HOME": str(home), "FACTORY_DEFS": str(tmp_path / "defs")}
    (tmp_path / "defs").mkdir()
    if until == "night":
        looks = {"look": _EACH_MINUTE}
        declared = {**APPLES, "schedule": _EACH_MINUTE, "watch": looks}
        declare(tmp_path / "defs" / "apples", declared)
        write_apples(tmp_path / "defs" / "apples")
        # What a look says of a champion is looked at, too.
        done = command(home, **variables)("run", "apples")
        assert done.returncode == 0, done.stdout + done.stderr
    else:
        shutil.copytree(demo.home, home)
    output, _ = _in_network(_DAY, home, file, until, **variables)
    assert output == "the day is over\n"
