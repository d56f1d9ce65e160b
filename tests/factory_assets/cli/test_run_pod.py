"""A run in a pod of its own: what `dagster-k8s` starts at the API of a cluster, and what it does.

A server on loopback stands for the API, and this machine for the node: the command of the pod that
the launcher asks for is started here, with its variables, but for the folders of the pod.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from factory_assets.components.run_launcher import BOUNDARY_TAG
from factory_resources.compute.policy import policy_violations
from factory_resources.compute.run_pods import dagster_settings
from factory_resources.home.home import PROJECT, Home
from factory_resources.home.processes import POD_VARIABLE
from factory_resources.instance import SETTINGS_VARIABLE, prepare
from tests.clusters import PODS, cluster, needs, objects
from tests.factory_resources.boundary.machine import level_of_this_machine
from tests.loopback_servers import served
from tests.pipelines import APPLES, declare, enter, write_apples

pytestmark = [pytest.mark.slow, needs("dagster_k8s", "dagster-k8s")]


@pytest.fixture
def asked() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The address of an API that takes every object, and the objects."""
    found: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.append({"path": self.path, **json.loads(body)})
            self.send_response(201)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}", found


def _write_settings(folder: Path, api: str) -> Path:
    """Write the settings for a cluster, and where its API is; in a pod, the token says that."""
    settings = dagster_settings(cluster(**PODS))
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": api}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    (folder / "kubeconfig").write_text(json.dumps(kubeconfig))
    settings["run_launcher"]["config"] |= {
        "load_incluster_config": False,
        "kubeconfig_file": str(folder / "kubeconfig"),
    }
    file = folder / "dagster.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


def _launch(folder: Path) -> str:
    """Let the launcher of the instance start a run of `apples/ingest`; return its id."""
    import dagster as dg
    from dagster._core.code_pointer import ModuleCodePointer
    from dagster._core.launcher import LaunchRunContext
    from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin

    from factory_assets.definitions import build_defs

    pointer = ModuleCodePointer("factory_assets.definitions", "defs", str(PROJECT))
    origin = JobPythonOrigin(
        "apples",
        RepositoryPythonOrigin(
            sys.executable, pointer, entry_point=[sys.executable, "-m", "dagster"]
        ),
    )
    job = build_defs([folder]).resolve_job_def("apples")
    with dg.DagsterInstance.get() as instance:
        run = instance.create_run_for_job(
            job_def=job,
            job_code_origin=origin,
            asset_selection=frozenset({dg.AssetKey(["apples", "ingest"])}),
            status=dg.DagsterRunStatus.STARTING,
        )
        instance.run_launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
    return run.run_id


def test_a_run_in_a_pod_of_its_own(
    asked: tuple[str, list[dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dagster as dg

    api, found = asked
    enter(tmp_path, monkeypatch)
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    monkeypatch.setenv(SETTINGS_VARIABLE, str(_write_settings(tmp_path, api)))
    home = Home(tmp_path / "home")
    prepare(home)
    write_apples(tmp_path / "defs" / "apples")
    declare(tmp_path / "defs" / "apples", APPLES)

    run_id = _launch(tmp_path / "defs" / "apples")

    [job] = found
    assert job.pop("path") == "/apis/batch/v1/namespaces/factory/jobs"
    rest = [one for one in objects(cluster(**PODS)) if one["kind"] != "Job"]
    assert policy_violations([job, *rest]) == []
    _validate(job)
    spec = job["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == "factory-run"
    [container] = spec["containers"]
    names = {one["name"] for one in container["env"]}
    assert {"FACTORY_HOME", "DAGSTER_HOME", SETTINGS_VARIABLE, POD_VARIABLE} <= names

    # The name of the pod, which the cluster gives it.
    environment = {**os.environ, POD_VARIABLE: f"dagster-run-{run_id}-abcde"}
    command = [sys.executable, *container["command"][1:], *container["args"]]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status is dg.DagsterRunStatus.SUCCESS
        # No boundary holds root.
        if os.getuid():
            assert run.tags[BOUNDARY_TAG] == level_of_this_machine()[0]
    assert [path.name for path in (home.records / "apples" / "latest").iterdir()] == ["ingest.json"]
    assert [*home.tmp.glob("*.pod-*")] == []
    assert [*(home.tmp / "locks").glob("pod.*")] == []


def _validate(job: dict[str, Any]) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    kubernetes_validate.validate(job, "1.37", strict=True)


def test_a_command_that_is_no_worker_is_refused_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "factory_assets.cli.run_pod", "true"],
        env={**os.environ, "FACTORY_HOME": str(tmp_path / "home"), POD_VARIABLE: ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "this starts the worker of a run in a pod of its own" in done.stderr
