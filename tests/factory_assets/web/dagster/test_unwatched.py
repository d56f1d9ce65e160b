"""A workspace that follows the link to the code server, as those of daemon and door do."""

import time
from pathlib import Path
from threading import enumerate as threads

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
