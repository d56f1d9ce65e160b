"""A demo, a factory that is up, and a served day: no packet and no question for a name leaves.

In a network of its own with a resolver that lies; every packet in it is looked at. What runs inside
a boundary is tested elsewhere: here runs have none, so that nothing but good manners keeps them.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from factory_assets.defs.machine_failure.telemetry import simulate
from factory_resources.home.home import PROJECT
from tests.factory_resources.boundary.machine import needs_namespaces

pytestmark = [pytest.mark.slow, needs_namespaces]

_NETWORK = PROJECT / "tests" / "quiet_network.py"
_ASK = """
import socket, urllib.request
socket.getaddrinfo("vendor.example", 443)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    one.sendto(b"hello", ("198.51.100.9", 9999))
"""
_DAY = '''
import subprocess, sys, time
from pathlib import Path
import httpx
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
home, file = Path(sys.argv[1]), Path(sys.argv[2])

def factory(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "factory_assets.cli", *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout

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
    served = httpx.get(f"http://127.0.0.1:{up.ports[1]}/openapi.json", timeout=60)
    assert served.status_code == 200
    client.close()
finally:
    up.stop()
factory("status")
factory("verify")
factory("backup", home.parent / "backups")
factory("gc")
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


def test_nothing_leaves(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    simulate(rows=50, seed=3).to_pandas().to_csv(file, index=False)
    home = tmp_path / "home"
    output, _ = _in_network(_DAY, home, file, FACTORY_HOME=str(home))
    assert output == "the day is over\n"
