"""What is found out about a Ray cluster without one: most of it before Ray is imported."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from factory_resources.compute.ray_cluster import ClusterNode, RayCluster, token_file
from factory_resources.errors import ClusterError
from tests.running_factory import free_port


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a user without a token."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name in ("RAY_AUTH_MODE", "RAY_CLIENT_RECONNECT_GRACE_PERIOD"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_token_is_in_the_file_that_is_named_or_in_the_home(
    nobody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert token_file() == nobody / ".ray" / "auth_token"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/run/secrets/ray")
    assert token_file() == Path("/run/secrets/ray")


def test_without_a_token_nobody_is_asked() -> None:
    with pytest.raises(ClusterError, match="there is no token for the Ray cluster; set RAY_AUTH"):
        RayCluster("127.0.0.1:1")


def test_a_cluster_that_is_away_is_told_before_ray_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a token")
    imported = "ray" in sys.modules
    port = free_port()
    with pytest.raises(ClusterError) as away:
        RayCluster(f"127.0.0.1:{port}")
    assert str(away.value) == (
        f"ray://127.0.0.1:{port}: the Ray cluster cannot be reached (Connection refused); start "
        "it, or run without it"
    )
    assert ("ray" in sys.modules) == imported
    with pytest.raises(ClusterError, match=r"cannot be reached .*label empty"):
        RayCluster("plant..example:10001")


@pytest.mark.parametrize(
    ("memory", "gpus", "room"), [(0, 0, 8), (4 << 30, 0, 3), (4 << 30, 1, 2), (0, 3, 0)]
)
def test_a_node_has_room_for_what_its_scarcest_part_allows(
    memory: int, gpus: int, room: int
) -> None:
    node = ClusterNode("id", "10.0.0.1", cpus=8, memory=13 << 30, gpus=2)
    assert node.room(memory, gpus) == room


def test_an_error_in_an_actor_is_not_taken_for_another_version_of_ray() -> None:
    exceptions = pytest.importorskip("ray.exceptions")

    def get(*_: Any, **__: Any) -> None:
        cause = ValueError("the record has the unknown version 3")
        raise exceptions.RayTaskError("work", "Traceback: the unknown version 3", cause)

    cluster = RayCluster.__new__(RayCluster)
    cluster.address, cluster._is_connected = "127.0.0.1:10001", True
    cluster._ray = SimpleNamespace(get=get, is_initialized=lambda: True)
    method = SimpleNamespace(remote=lambda: None)
    with pytest.raises(RuntimeError, match="the unknown version 3"):
        cluster.ask(method)
