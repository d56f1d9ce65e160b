"""A workspace that follows the link to the code server, as those of daemon and door do."""

import time
from pathlib import Path
from threading import enumerate as threads
from unittest.mock import Mock

import dagster as dg
from dagster._core.workspace.load_target import WorkspaceLoadTarget

from factory_assets.web.dagster.unwatched import UnwatchedWorkspace, following
from tests.waiting import wait_until


class Counting(UnwatchedWorkspace):
    """Counts how often it is asked to load what the code server has."""

    def __init__(self) -> None:
        self.refreshed = 0

    def refresh_workspace(self) -> None:
        self.refreshed += 1


def test_a_link_that_leads_elsewhere_is_followed_once(tmp_path: Path) -> None:
    link, workspace = tmp_path / "code.sock", Counting()
    link.symlink_to("code.1")
    with following(workspace, link):
        time.sleep(1.1)
        assert workspace.refreshed == 0
        link.unlink()
        time.sleep(1.1)
        (tmp_path / "next").symlink_to("code.2")
        (tmp_path / "next").replace(link)
        wait_until(lambda: workspace.refreshed)
        time.sleep(1.1)
        assert workspace.refreshed == 1
    assert "code-server" not in {one.name for one in threads()}


class Loading(UnwatchedWorkspace):
    """Counts how often it loads what the code server has, which may be nothing."""

    loaded = 0
    location: object = Mock()

    def _load_location(self, origin: object, reload: bool) -> Mock:  # type: ignore[override]
        self.loaded += 1
        return Mock(code_location=self.location, load_error=None if self.location else "away")


def test_what_the_code_server_has_loaded_is_taken_once(tmp_path: Path) -> None:
    link, target = tmp_path / "code.sock", Mock(spec=WorkspaceLoadTarget)
    target.create_origins.return_value = [Mock(location_name="factory")]
    link.symlink_to("code.1")
    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
        Loading(instance, target, link) as workspace,
    ):
        workspace.refresh_workspace()
        assert workspace.loaded == 1
        (tmp_path / "next").symlink_to("code.2")
        (tmp_path / "next").replace(link)
        workspace.location = None
        workspace.refresh_workspace()
        assert workspace.loaded == 2
        workspace.location = Mock()
        workspace.refresh_workspace()
        workspace.refresh_workspace()
        assert workspace.loaded == 3
        link.unlink()
        workspace.refresh_workspace()
        assert workspace.loaded == 4
