"""Fits on nodes of a real Ray cluster are the same whatever happens to the nodes."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from factory_resources.home.home import PROJECT, Home
from tests.fit_results import fit_results
from tests.ledger import problems
from tests.ray_fits import declare_noted_fits, let_go, noted_fits, noted_threads
from tests.ray_nodes import ADDRESS, HEAD, OTHER, RayNodes
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not find_spec("ray"), reason="Ray is not installed (extra `ray`)"),
]

_RUN = [sys.executable, "-m", "factory_assets.cli", "run", "apples"]

_CLUSTER = ["--workers", f"ray://{ADDRESS}"]


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A folder with a short path: Ray has sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    declare_noted_fits(folder / "pipelines" / "apples")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def alone(root: Path) -> Home:
    """The home of a run without workers."""
    environment = {**os.environ, **_variables(root, "alone")}
    subprocess.run(_RUN, cwd=PROJECT, env=environment, check=True)
    return Home(root / "alone")


@pytest.fixture
def nodes(root: Path) -> Iterator[RayNodes]:
    """A network in which the head is the only node."""
    network = RayNodes(root)
    network.start(HEAD)
    yield network
    network.close()
    for name in ("1", "2"):
        shutil.rmtree(root / name, ignore_errors=True)


def _variables(root: Path, home: str) -> dict[str, str]:
    return {"FACTORY_HOME": str(root / home), "FACTORY_DEFS": str(root / "pipelines")}


def _begin(nodes: RayNodes, home: str, variables: dict[str, str] | None = None) -> int:
    return nodes.begin([*_RUN, *_CLUSTER], {**_variables(nodes.folder, home), **(variables or {})})


def _places(home: Home) -> list[int]:
    """Return how many fits each node began."""
    return [count for raylet, count in noted_fits(home).items() if raylet]


def test_a_node_may_be_lost_in_the_middle_of_a_fit(nodes: RayNodes, alone: Home) -> None:
    nodes.start(OTHER)
    home = Home(nodes.folder / "lost")
    run = _begin(nodes, "lost")
    wait_until(lambda: len(_places(home)) == 2, seconds=300)
    assert nodes.signal("raylet/raylet", OTHER) == 1
    # What the lost node had begun is begun again beside what the other one has begun.
    wait_until(lambda: 2 in _places(home), seconds=300)
    let_go(home)
    done = nodes.wait(run)
    assert done.code == 0, done.output + done.errors
    assert fit_results(home) == fit_results(alone)
    assert problems(home) == []
    # Ray gives its processes one thread for each processor that they ask for.
    assert noted_threads(home) == noted_threads(alone)
    # The process on the lost node may go on with what it had begun, for nobody.
    assert noted_fits(home).total() > noted_fits(alone).total()


def test_nodes_that_calculate_otherwise_fit_nothing(nodes: RayNodes, alone: Home) -> None:
    home = Home(nodes.folder / "unlike")
    let_go(home)
    done = nodes.wait(_begin(nodes, "unlike", {"NPY_DISABLE_CPU_FEATURES": ""}))
    assert done.code == 0, done.output + done.errors
    assert _places(home) == []
    assert fit_results(home) == fit_results(alone)
    line = (
        "1 of 1 nodes of the Ray cluster cannot fit models (another NPY_DISABLE_CPU_FEATURES), so "
        "the run fits by itself"
    )
    told = " ".join(done.output.split())
    stages = ("train", "evaluate")
    assert [told.count(f"apples · {one} warning: {line}") for one in stages] == [1, 1]


def test_two_runs_never_wait_for_each_other(nodes: RayNodes, alone: Home) -> None:
    nodes.start(OTHER)
    home = Home(nodes.folder / "beside")
    places = [ADDRESS, OTHER, HEAD, str(home.path / "noted")]
    other = nodes.begin([sys.executable, "-m", "tests.ray_places", *places])
    wait_until(lambda: nodes.signal("ray::NodeWorker", signal="") == 1, seconds=300)
    let_go(home)
    run = nodes.wait(_begin(nodes, "beside"))
    assert run.code == 0, run.output + run.errors
    assert nodes.wait(other).code == 0
    assert fit_results(home) == fit_results(alone)
    assert len(_places(home)) == 2
