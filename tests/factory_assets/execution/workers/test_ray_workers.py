"""Nodes of a real Ray cluster store what the run alone would store, inside their own boundary."""

import json
import os
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.workers.environment import environment_here
from factory_resources.boundary.report import BoundaryReport, parse_report
from factory_resources.home.home import Home
from tests.factory_resources.boundary.machine import needs_namespaces
from tests.ledger import problems
from tests.ordinary_user import USER, by_ordinary_user
from tests.ray_fits import declare_trials, train_apples
from tests.ray_nodes import ADDRESS, HEAD, Done, RayNodes, ray_nodes
from tests.ray_runs import DAYS, declare_days, run_days_alone, stored

if not find_spec("ray"):
    warnings.warn("RAY IS NOT TESTED: it is not installed (extra `ray`)", stacklevel=1)
    pytest.skip("Ray is not installed (extra `ray`)", allow_module_level=True)

pytestmark = [pytest.mark.slow, pytest.mark.long, needs_namespaces]


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A folder of an ordinary user, with a short path: Ray has sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    declare_days(folder / "pipelines" / "sizes_of_days")
    declare_trials(folder / "pipelines" / "apples")
    _give(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def nodes(root: Path) -> Iterator[RayNodes]:
    """A cluster whose second node calculates otherwise than this machine."""
    with ray_nodes(root, by_ordinary_user([]), {"OPENBLAS_CORETYPE": "Nehalem"}) as started:
        yield started


@pytest.fixture(scope="module")
def alone(root: Path) -> dict[str, Any]:
    """What a process makes alone."""
    done = run_days_alone(root / "pipelines" / "sizes_of_days", Home(root / "alone"))
    assert done["errors"] == []
    assert len(done["stored"]["records"]) == 2 * len(DAYS)
    return done


def _give(folder: Path) -> None:
    """Let the ordinary user own a folder."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, *USER)
    folder.chmod(0o755)


def _run(nodes: RayNodes, home: str = "home", address: str = ADDRESS, **variables: Any) -> Any:
    """Let the cluster compute the days in a home; return what came of it."""
    folder = nodes.folder / "pipelines" / "sizes_of_days"
    return _told(
        nodes, "tests.ray_runs", str(folder), str(nodes.folder / home), address, **variables
    )


def _told(nodes: RayNodes, module: str, *arguments: str, **variables: Any) -> Any:
    done = nodes.run([sys.executable, "-m", module, *arguments], variables)
    assert done.code == 0, done.errors
    return json.loads(done.output)


def _factory(nodes: RayNodes, home: str, *arguments: str) -> Done:
    """Let a person run a pipeline."""
    variables = {
        "FACTORY_HOME": str(nodes.folder / home),
        "FACTORY_DEFS": str(nodes.folder / "pipelines"),
    }
    return nodes.run([sys.executable, "-m", "factory_assets.cli", "run", *arguments], variables)


def test_nodes_store_what_the_run_alone_stores(nodes: RayNodes, alone: dict[str, Any]) -> None:
    home = Home(nodes.folder / "sealed")
    done = _factory(nodes, "sealed", "sizes_of_days", "--workers", f"ray://{ADDRESS}")
    assert done.code == 0, done.output + done.errors
    assert done.errors == ""
    by_nodes, by_one = stored(home), alone["stored"]
    assert by_nodes["files"] == by_one["files"]
    for name, record in by_one["records"].items():
        assert by_nodes["records"][name] == record, name
    assert by_nodes == by_one
    assert problems(home) == []
    reports = _reports(home)
    (run,) = [one for one in reports if one.traffic]
    workers = [one for one in reports if one is not run]
    # The run reaches the head of the cluster alone, and its workers reach nothing.
    assert [(one.address, one.connections > 0) for one in run.traffic] == [(ADDRESS, True)]
    assert len(workers) == 2
    assert {(one.level, one.allow, one.exit_code) for one in workers} == {("namespaces", (), 0)}


def test_nodes_that_calculate_alike_fit_what_the_run_alone_fits(nodes: RayNodes) -> None:
    folder, home = nodes.folder / "pipelines" / "apples", Home(nodes.folder / "fitted")
    alone = train_apples(load_pipeline(folder), Home(nodes.folder / "fitted alone"), "")
    arguments, defs = (str(folder), str(home.path), ADDRESS), str(folder.parent)
    by_nodes = _told(nodes, "tests.ray_fits", *arguments, FACTORY_DEFS=defs)
    assert by_nodes["model"] == alone["model"]
    assert by_nodes["warning"] == (
        "1 of 2 nodes of the Ray cluster cannot fit models (another OPENBLAS_CORETYPE)"
    )
    # What the run does itself is in no boundary of its own here.
    (worker,) = _reports(home)
    assert (worker.level, worker.allow, worker.exit_code) == ("namespaces", (), 0)
    assert problems(home) == []


def _reports(home: Home) -> list[BoundaryReport]:
    files = [*(home.path / "boundary").rglob("*.json")]
    return [parse_report(file.read_text()) for file in files]


def test_whoever_has_another_token_is_refused(nodes: RayNodes) -> None:
    done = _run(nodes, RAY_AUTH_TOKEN="another")
    assert done["errors"] == [
        f"ray://{ADDRESS}: the Ray cluster refuses the token; set RAY_AUTH_TOKEN, or "
        "RAY_AUTH_TOKEN_PATH, to the token that its nodes have"
    ]
    missing = _run(nodes, RAY_AUTH_TOKEN=None)
    assert missing["errors"] == [
        f"ray://{ADDRESS}: there is no token for the Ray cluster; set RAY_AUTH_TOKEN, or "
        "RAY_AUTH_TOKEN_PATH to a file that holds it"
    ]


def test_a_cluster_that_is_away_is_told_in_one_line(nodes: RayNodes) -> None:
    away = f"ray://{HEAD}:20998"
    done = _factory(nodes, "away", "sizes_of_days", "--workers", away)
    assert done.code == 2
    # Inside a boundary somebody accepts the connection, and then finds nobody.
    reason = r"\((UNAVAILABLE|Connection reset by peer)\)"
    line = (
        f"error: {away}: the Ray cluster cannot be reached {reason}; start it, or run without it\n"
    )
    assert re.fullmatch(line, done.errors), done.errors


@pytest.mark.long
def test_a_node_with_another_environment_is_refused(nodes: RayNodes) -> None:
    folder = nodes.folder / "more"
    (folder / "grown-1.0.dist-info").mkdir(parents=True)
    _give(folder)
    path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(folder)])
    assert "grown" not in environment_here()
    done = _run(nodes, PYTHONPATH=f"{os.getcwd()}{os.pathsep}{path}")
    (error,) = done["errors"]
    assert error.startswith(f"ray://{ADDRESS}: node 127.0.0.")
    assert error.endswith("has another environment: grown; install the same versions there as here")


def test_an_open_cluster_is_refused(nodes: RayNodes) -> None:
    server = [sys.executable, "-m", "ray.util.client.server", f"--host={HEAD}", "--port=20999"]
    server += ["--mode=proxy"]
    nodes.begin(server, {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": None})
    deadline = time.monotonic() + 60
    while "Connection refused" in (error := str(_run(nodes, address=f"{HEAD}:20999")["errors"])):
        assert time.monotonic() < deadline
    assert error == str(
        [
            f"ray://{HEAD}:20999: the Ray cluster is open: whoever reaches it can run programs on "
            "its nodes; start all its nodes with RAY_AUTH_MODE=token"
        ]
    )
