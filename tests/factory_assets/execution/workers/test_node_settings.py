"""Which settings of the run a process on a node of a cluster has."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from factory_assets.execution.requests import StageRequest
from factory_assets.execution.workers.ray_workers import RayWorkers
from factory_assets.execution.workers.room import Needs
from factory_assets.execution.workers.stage_worker import setup_of
from factory_resources.compute.ray_cluster import ClusterNode, RayCluster
from factory_resources.home.home import Home
from tests.ray_training import declare_apples


class _Cluster:
    """A cluster of one node, which is only told what to start."""

    address = "head.example:10001"

    def __init__(self) -> None:
        self.told: tuple[Any, ...] = ()

    def nodes(self) -> list[ClusterNode]:
        return [ClusterNode("a", "10.0.0.1", 2, 0, 0)]

    def start(self, actor: type, **options: object) -> Any:
        return SimpleNamespace(start=actor)

    def ask(self, method: Any, *arguments: Any) -> None:
        self.told = arguments


def test_a_node_finds_the_store_of_the_run_and_no_secret(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {
        "FACTORY_HOME": str(home.path),
        "FACTORY_STORE": "s3://plant/factory",
        "FACTORY_S3_ENDPOINT": "https://storage.example:9000",
        "FACTORY_S3_REGION": "here",
    }
    secrets = {
        "FACTORY_S3_ACCESS_KEY": "hidden",
        "FACTORY_S3_SECRET_KEY": "hidden",
        "FACTORY_DATABASE_URL": "postgresql://u:hidden@db/f",
    }
    pipeline = declare_apples(tmp_path / "apples")
    for name, value in (settings | secrets).items():
        monkeypatch.setenv(name, value)
    cluster = _Cluster()
    workers = RayWorkers(cast(RayCluster, cluster), (), Needs())
    setup = setup_of(StageRequest(pipeline, "train", home, "run"), tmp_path, 1)
    workers.connect_to_fit(setup, cluster.nodes()[0])
    told = json.loads(cluster.told[3])
    assert settings.items() <= told.items()
    assert not secrets.keys() & told.keys()
