"""Two environments are the same if the same wheels were installed into them."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from factory_assets.execution.installed import installed_files
from factory_assets.execution.workers.environment import (
    arithmetic_here,
    differing,
    environment_here,
)
from factory_assets.execution.workers.node_worker import describe_node
from factory_assets.execution.workers.ray_workers import RayWorkers
from factory_assets.execution.workers.room import Needs
from factory_resources.compute.ray_cluster import ClusterNode

_RECORD = """\
small/__init__.py,sha256=aaa,10
small/__pycache__/__init__.cpython-311.pyc,,
../../bin/small,sha256=SCRIPT,200
small-1.0.dist-info/INSTALLER,sha256=ccc,4
small-1.0.dist-info/RECORD,,
"""


def _install(folder: Path, record: str | None, version: str = "1.0") -> str:
    info = folder / f"small-{version}.dist-info"
    shutil.rmtree(folder, ignore_errors=True)
    info.mkdir(parents=True)
    if record is not None:
        (info / "RECORD").write_text(record)
    return installed_files([str(folder)])["small"]


def test_the_same_wheel_is_the_same_wherever_it_is(tmp_path: Path) -> None:
    here = _install(tmp_path / "here", _RECORD)
    lines = _RECORD.replace("SCRIPT", "other").replace("ccc", "ddd").splitlines()
    assert _install(tmp_path / "there", "\n".join(reversed(lines))) == here


def test_a_changed_file_is_another_distribution(tmp_path: Path) -> None:
    here = _install(tmp_path / "here", _RECORD)
    assert _install(tmp_path / "there", _RECORD.replace("aaa", "bbb")) != here


def test_without_a_record_the_version_counts(tmp_path: Path) -> None:
    assert _install(tmp_path / "here", None, "1.1") == "1.1"


def test_what_differs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = environment_here()
    assert {"Python", "system", "the factory", "duckdb"} <= here.keys()
    assert "sovereign-ai-factory" not in here
    assert differing(here, environment_here()) == []
    _install(tmp_path, _RECORD)
    monkeypatch.syspath_prepend(str(tmp_path))
    there = {**environment_here(), "Python": "3.0"}
    assert differing(here, there) == ["Python", "small"]


def test_what_ray_brings_for_itself_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = environment_here()
    _install(tmp_path / "ray" / "thirdparty_files", _RECORD)
    monkeypatch.syspath_prepend(str(tmp_path / "ray" / "thirdparty_files"))
    assert environment_here() == here


def test_what_decides_on_the_last_bits_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENBLAS_CORETYPE", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    here = arithmetic_here("3")
    assert differing(here, arithmetic_here("4")) == ["number of threads"]
    # What is measured anew is none of it.
    assert "MHz" not in here["processor"]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert here == arithmetic_here("3")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem")
    assert differing(here, arithmetic_here("3")) == ["OPENBLAS_CORETYPE"]
    cores = os.sched_getaffinity(0)
    if len(cores) > 1:
        every = arithmetic_here(None)
        os.sched_setaffinity(0, [min(cores)])
        fewer = arithmetic_here(None)
        os.sched_setaffinity(0, cores)
        assert differing(every, fewer) == ["number of threads"]


def test_nodes_fit_in_turns_where_there_is_room(tmp_path: Path) -> None:
    nodes = [ClusterNode("a", "a", 2, 10, 0), ClusterNode("b", "b", 1, 10, 0)]
    small = ClusterNode("c", "c", 1, 2, 0)
    cluster: Any = _Cluster([*nodes, small])
    workers = RayWorkers(cluster, [tmp_path], Needs(memory=5))
    workers.require_same()
    assert [node.name for node in workers.places_to_fit()] == ["a", "b", "a"]
    assert workers.unfit == {"a": [], "b": [], "c": ["no room"]}


class _Cluster:
    """A cluster whose nodes are this machine."""

    def __init__(self, nodes: list[ClusterNode]) -> None:
        self._nodes = nodes

    def nodes(self) -> list[ClusterNode]:
        return self._nodes

    def call(self, function: Callable[..., str], *arguments: object, node: str) -> str:
        assert node
        return function(*arguments)


def test_a_node_tells_what_it_does_not_see(tmp_path: Path) -> None:
    told = json.loads(describe_node([str(tmp_path), str(tmp_path / "elsewhere")], "3"))
    assert told == {
        "environment": environment_here(),
        "arithmetic": arithmetic_here("3"),
        "missing": [str(tmp_path / "elsewhere")],
    }
