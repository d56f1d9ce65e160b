"""What is lost while nodes of a real Ray cluster work is done again, or told in one line."""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from tests.ray_nodes import ADDRESS, HEAD, OTHER, Done, RayNodes
from tests.ray_runs import declare_days, run_days_alone
from tests.ray_training import declare_apples
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not find_spec("ray"), reason="Ray is not installed (extra `ray`)"),
]

_MOMENTS = 10

_WORKER = "execution.workers.node_process"


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A folder with a short path: Ray has sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def pipeline(root: Path) -> Pipeline:
    return declare_days(root / "pipelines" / "sizes_of_days", seconds=1)


@pytest.fixture(scope="module")
def alone(pipeline: Pipeline, root: Path) -> Any:
    """What a process makes alone."""
    return run_days_alone(pipeline.folder, Home(root / "alone"))["stored"]


@pytest.fixture
def nodes(root: Path) -> Iterator[RayNodes]:
    """A network in which no node has started yet."""
    network = RayNodes(root)
    yield network
    network.close()
    for name in ("1", "2"):
        shutil.rmtree(root / name, ignore_errors=True)


def _begin(nodes: RayNodes, pipeline: Pipeline, home: str) -> int:
    paths = [str(pipeline.folder), str(nodes.folder / home)]
    return nodes.begin([sys.executable, "-m", "tests.ray_runs", *paths, ADDRESS])


def _made(done: Done) -> Any:
    assert done.code == 0, done.errors
    return json.loads(done.output)


def test_a_node_may_be_lost_at_any_moment(nodes: RayNodes, pipeline: Pipeline, alone: Any) -> None:
    nodes.start(HEAD)
    nodes.start(OTHER)
    started = time.monotonic()
    made = _made(nodes.wait(_begin(nodes, pipeline, "undisturbed")))
    assert (made["errors"], made["stored"], made["entries"]) == ([], alone, [1])
    seconds = time.monotonic() - started
    for moment in range(_MOMENTS):
        number = _begin(nodes, pipeline, f"home_{moment}")
        time.sleep(seconds * (moment + 1) / (_MOMENTS + 1))
        assert nodes.signal("raylet/raylet", OTHER) == 1
        made = _made(nodes.wait(number))
        assert (made["errors"], made["stored"], made["entries"]) == ([], alone, [1]), moment
        nodes.signal("", OTHER)
        nodes.start(OTHER)


def test_a_lost_head_is_told_and_nothing_is_twice(
    nodes: RayNodes, pipeline: Pipeline, alone: Any
) -> None:
    nodes.start(HEAD)
    nodes.start(OTHER)
    home = Home(nodes.folder / "headless")
    number = _begin(nodes, pipeline, "headless")
    wait_until(lambda: bool([*home.tables.rglob("*.parquet")]))
    nodes.signal("", HEAD)
    lost = time.monotonic()
    made = _made(nodes.wait(number))
    assert time.monotonic() - lost < 60
    assert made["errors"]
    assert {one.partition(" (")[0] for one in made["errors"]} == {
        f"ray://{ADDRESS}: the Ray cluster cannot be reached"
    }
    again = run_days_alone(pipeline.folder, home)
    assert (again["errors"], again["stored"], again["entries"]) == ([], alone, [1])


def test_a_node_without_room_on_its_disk_does_not_matter(
    nodes: RayNodes, pipeline: Pipeline, alone: Any
) -> None:
    disk = nodes.folder / "2"
    disk.mkdir()
    mounted = nodes.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(disk)])
    assert mounted.code == 0, mounted.errors
    nodes.start(HEAD)
    nodes.start(OTHER)
    filled = nodes.run(["dd", "if=/dev/zero", f"of={disk}/filled", "bs=1M"])
    assert "No space left" in filled.errors
    made = _made(nodes.wait(_begin(nodes, pipeline, "full")))
    assert (made["errors"], made["stored"], made["entries"]) == ([], alone, [1])


def test_a_node_that_stands_still_is_not_waited_for(
    nodes: RayNodes, pipeline: Pipeline, alone: Any
) -> None:
    nodes.start(HEAD)
    nodes.start(OTHER)
    home = Home(nodes.folder / "still")
    number = _begin(nodes, pipeline, "still")
    wait_until(lambda: bool([*home.tables.rglob("*.parquet")]))
    assert nodes.signal("raylet/raylet", OTHER, "STOP") == 1
    made = _made(nodes.wait(number))
    assert (made["errors"], made["stored"], made["entries"]) == ([], alone, [1])


def test_two_nodes_train_the_same_network_twice(nodes: RayNodes) -> None:
    pipeline = declare_apples(nodes.folder / "pipelines" / "apples")
    for address in (HEAD, OTHER):
        # The names of machines have no addresses in this network.
        nodes.start(address, {"GLOO_SOCKET_IFNAME": "lo"})
    command = [sys.executable, "-m", "tests.ray_training", str(pipeline.folder)]
    once, again = (
        _made(nodes.run([*command, str(nodes.folder / home), ADDRESS]))
        for home in ("once", "again")
    )
    assert once.keys() == {"digest", "key"}
    assert once == again
    trainer = {"accelerator": "cpu", "nodes": 3}
    model = {"kind": "mlp", "hidden": [8], "epochs": 6}
    declare_apples(pipeline.folder, train={"target": "label", "model": model, "trainer": trainer})
    few = _made(nodes.run([*command, str(nodes.folder / "once"), ADDRESS]))
    assert few["error"] == (
        f"ray://{ADDRESS}: 3 nodes are declared, and the Ray cluster has 2; set "
        "train.trainer.nodes to fewer, or add nodes"
    )


def test_nodes_end_what_a_run_that_is_gone_has_asked_for(nodes: RayNodes) -> None:
    pipeline = declare_days(nodes.folder / "pipelines" / "slow_days", seconds=600)
    nodes.start(HEAD)
    nodes.start(OTHER)
    for signal in ("INT", "KILL"):
        number = _begin(nodes, pipeline, f"gone_{signal}")
        wait_until(lambda: nodes.signal(_WORKER, signal="") == 2)
        assert nodes.signal("tests.ray_runs", signal=signal) == 1
        assert nodes.wait(number).code != 0
        wait_until(lambda: nodes.signal(_WORKER, signal="") == 0)
