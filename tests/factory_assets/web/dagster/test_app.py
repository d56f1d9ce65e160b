"""The application as a whole."""

from pathlib import Path

import dagster as dg
import pytest

from factory_assets.web.access_log import AccessLog
from factory_assets.web.dagster.app import dagster_app
from factory_resources.errors import SettingError
from factory_resources.home.home import Home
from tests.factory_assets.web.dagster.conftest import Site


def test_everybody_reads_the_pipelines(site: Site) -> None:
    answer = site.ask("auditor", "{ assetNodes { assetKey { path } } }")
    assert answer.status_code == 200
    paths = [node["assetKey"]["path"] for node in answer.json()["data"]["assetNodes"]]
    assert ["apples", "train"] in paths


def test_telemetry_that_is_on_is_refused(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With it, the pages load a script from another host."""
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    monkeypatch.setattr(dg.DagsterInstance, "telemetry_enabled", True)
    with dg.DagsterInstance.ephemeral() as instance:
        monkeypatch.setattr(dg.DagsterInstance, "get", lambda: instance)
        with (
            pytest.raises(SettingError, match="telemetry is on"),
            dagster_app(home, workspace, AccessLog(home)),
        ):
            pass
