"""Whether nodes may train together is decided before a cluster is asked."""

from pathlib import Path

import pytest

from factory_assets.execution.requests import StageRequest
from factory_assets.execution.workers.node_group import node_group
from factory_resources.errors import BoundaryError, ClusterError
from factory_resources.home.home import Home
from tests.ray_training import declare_apples


def test_a_pipeline_that_requires_a_boundary_is_refused(tmp_path: Path, home: Home) -> None:
    pipeline = declare_apples(tmp_path / "apples", boundary="required")
    call = StageRequest(pipeline, "train", home, "run", workers=1, cluster="127.0.0.1:1")
    with pytest.raises(BoundaryError) as refused, node_group(call):
        pass
    assert str(refused.value) == (
        "apples: nodes that train together reach each other, and a boundary is required; set "
        "train.trainer.nodes to 1, or declare `boundary: auto`"
    )


def test_the_cluster_is_asked_by_the_first_task(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "")
    pipeline = declare_apples(tmp_path / "apples")
    call = StageRequest(pipeline, "train", home, "run", workers=1, cluster="127.0.0.1:1")
    with node_group(call) as group:
        assert [*group.map([], print)] == []
        with pytest.raises(ClusterError, match="there is no token"):
            next(group.map([None], print))  # type: ignore[list-item]
