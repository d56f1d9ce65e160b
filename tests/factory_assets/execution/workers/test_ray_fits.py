"""Nodes of a real Ray cluster fit what the run alone would fit, if they calculate as it does."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from factory_resources.home.home import PROJECT
from tests.ray_nodes import ADDRESS, HEAD, OTHER, RayNodes
from tests.ray_training import declare_fits

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not find_spec("ray"), reason="Ray is not installed (extra `ray`)"),
    pytest.mark.skipif(os.cpu_count() == 1, reason="a node cannot have fewer cores than the run"),
]


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A folder with a short path: Ray has sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    declare_fits(folder / "pipelines" / "apples")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def alone(root: Path) -> dict[str, Any]:
    """What a process fits alone."""
    done = subprocess.run(
        _command(root, "alone", ""), cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


@pytest.fixture
def nodes(root: Path) -> Iterator[RayNodes]:
    network = RayNodes(root)
    yield network
    network.close()
    for name in ("1", "2"):
        shutil.rmtree(root / name, ignore_errors=True)


def _command(root: Path, home: str, address: str) -> list[str]:
    folder = str(root / "pipelines" / "apples")
    return [sys.executable, "-m", "tests.ray_training", folder, str(root / home), address, "fits"]


def _told(nodes: RayNodes, number: int) -> dict[str, Any]:
    done = nodes.wait(number)
    assert done.code == 0, done.errors
    return dict(json.loads(done.output))


def _digests(found: dict[str, Any]) -> dict[str, Any]:
    assert "error" not in found, found
    return {stage: of_stage["digests"] for stage, of_stage in found.items()}


def test_nodes_fit_what_the_run_alone_fits(nodes: RayNodes, alone: dict[str, Any]) -> None:
    nodes.start(HEAD)
    nodes.start(OTHER)
    run = nodes.begin(_command(nodes.folder, "home", ADDRESS))
    deadline = time.monotonic() + 300
    # Each node has room for one.
    while nodes.signal("execution.workers.node_process", signal="") < 2:
        assert time.monotonic() < deadline, _told(nodes, run)
    found = _told(nodes, run)
    assert _digests(found) == _digests(alone)
    assert [one["warning"] for one in found.values()] == [None] * 5


def test_nodes_that_calculate_otherwise_fit_nothing(nodes: RayNodes, alone: dict[str, Any]) -> None:
    nodes.start(HEAD, prefix=("taskset", "-c", "0"))
    found = _told(nodes, nodes.begin(_command(nodes.folder, "at home", ADDRESS)))
    assert _digests(found) == _digests(alone)
    line = (
        "no node of the cluster calculates as this machine does (another number of threads), so it "
        "fits by itself"
    )
    assert [one["warning"] for one in found.values()] == [None] * 3 + [line] * 2
