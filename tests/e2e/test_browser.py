"""The UI in a real browser: `factory up`, headless Chromium, a pipeline materialised by clicking.

The screenshots of the README are taken here; FACTORY_SCREENSHOTS names their folder.
"""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

import pytest

from tests.browser import opened_browser
from tests.commands import forked
from tests.e2e.conftest import Demo
from tests.running_factory import RunningFactory, is_serving, up_options
from tests.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.browser]
PIPELINE = "tumour_diagnosis"


@pytest.fixture(scope="module")
def home(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demo's home, in which a person approves something."""
    return shutil.copytree(demo.home, tmp_path_factory.mktemp("shown") / "home")


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[RunningFactory]:
    running = RunningFactory(home)
    yield running
    running.stop()
    assert not any(is_serving(port) for port in running.ports), "something is still serving"


@pytest.fixture(scope="module")
def page(served: RunningFactory) -> Iterator["Page"]:
    with opened_browser() as browser:
        opened = browser.new_page(viewport={"width": 1440, "height": 900})
        opened.set_default_timeout(60_000)
        opened.goto(served.link)
        yield opened


@pytest.fixture(scope="module")
def hosts(page: "Page") -> set[str]:
    """Every host that the pages have requested so far."""
    requested: set[str] = set()
    page.on("request", lambda request: requested.add(urlparse(request.url).netloc))
    return requested


def _shot(page: "Page", name: str, tmp_path: Path) -> None:
    folder = Path(os.environ.get("FACTORY_SCREENSHOTS", tmp_path))
    path = folder / f"{name}.png"
    page.screenshot(path=path)
    assert path.stat().st_size > 20_000, "the page is nearly empty"


def test_lineage_graph_shows_the_six_stages(
    page: "Page", served: RunningFactory, hosts: set[str], tmp_path: Path
) -> None:
    page.goto(f"{served.url}/dagster/locations/__repository__@factory/asset-groups/{PIPELINE}")
    for stage in ("ingest", "clean", "split", "train", "evaluate", "deploy"):
        page.get_by_text(stage, exact=True).first.wait_for()
    _shot(page, "lineage", tmp_path)


def test_a_click_materialises_the_pipeline(
    page: "Page", served: RunningFactory, hosts: set[str]
) -> None:
    before = _runs(page, served)
    page.get_by_role("button", name="Materialize all").click()
    deadline = time.monotonic() + 180
    while (runs := _runs(page, served)) == before or any(
        status not in {"SUCCESS", "FAILURE", "CANCELED"} for _, status in runs
    ):
        assert time.monotonic() < deadline, runs
        time.sleep(1)
    new = set(runs) - set(before)
    assert [status for _, status in new] == ["SUCCESS"]


def test_metric_and_plot_are_on_the_asset_page(
    page: "Page", served: RunningFactory, hosts: set[str], tmp_path: Path
) -> None:
    page.goto(f"{served.url}/dagster/assets/{PIPELINE}/evaluate")
    page.get_by_text("roc_auc", exact=True).first.wait_for()
    page.get_by_placeholder("Filter metadata keys").fill("ROC")
    page.get_by_text("ROC curve", exact=True).first.wait_for()
    page.get_by_text("Show Markdown").first.click()
    plot = page.locator('img[src^="data:image/png"]').first
    plot.wait_for()
    assert plot.evaluate("image => image.naturalWidth") > 300
    page.wait_for_timeout(1000)  # the dialog fades in
    _shot(page, "evaluate", tmp_path)


def test_the_check_says_for_whom_the_model_waits_and_then_why_it_serves(
    page: "Page", served: RunningFactory, hosts: set[str], home: Path, tmp_path: Path
) -> None:
    checks = f"{served.url}/dagster/assets/{PIPELINE}/deploy?view=checks&checkDetail=approval"
    page.goto(checks)
    page.get_by_text(f"{PIPELINE}@1 waits for 1 approver since").first.wait_for()
    page.get_by_text("to be approved").first.wait_for()
    _shot(page, "waits", tmp_path)
    (tmp_path / "defs").mkdir()
    factory = forked(
        home,
        FACTORY_DEFS=str(tmp_path / "defs"),
        XDG_CONFIG_HOME=str(tmp_path / "config"),
        FACTORY_PASSPHRASE="correct horse",
    )
    assert factory("key", "new", "jane", "--role", "approver").returncode == 0
    done = factory("approve", PIPELINE, "--reason", "as good as the literature")
    assert done.returncode == 0, done.stderr
    page.goto(checks)
    page.get_by_text("as good as the literature").first.wait_for()
    _shot(page, "approved", tmp_path)


def test_mlflow_shows_the_version(page: "Page", served: RunningFactory, hosts: set[str]) -> None:
    page.goto(f"{served.url}/mlflow/#/models/{PIPELINE}")
    page.get_by_text("champion").first.wait_for()


def test_no_other_host_was_requested(served: RunningFactory, hosts: set[str]) -> None:
    assert {host for host in hosts if host} == {urlparse(served.url).netloc}


def test_graphql_by_get_is_refused(page: "Page", served: RunningFactory) -> None:
    answer = page.request.get(f"{served.url}/dagster/graphql?query=%7Bversion%7D")
    assert answer.status == 403


def test_a_killed_factory_leaves_nothing_serving(tmp_path: Path) -> None:
    running = RunningFactory(tmp_path / "home")
    running.process.kill()
    running.process.wait()
    wait_until(lambda: not any(is_serving(port) for port in running.ports))


def _runs(page: "Page", served: RunningFactory) -> list[tuple[str, str]]:
    query = "{runsOrError(limit: 50) {... on Runs {results {runId status}}}}"
    answer = page.request.post(f"{served.url}/dagster/graphql", data={"query": query})
    results = answer.json()["data"]["runsOrError"]["results"]
    return [(run["runId"], run["status"]) for run in results]


def test_a_second_factory_on_the_same_home_is_refused(served: RunningFactory, home: Path) -> None:
    done = forked(home)(*up_options())
    assert done.returncode == 2
    assert "is already running; stop it first" in done.stderr


def test_a_taken_port_is_refused(served: RunningFactory, demo: Demo) -> None:
    done = forked(demo.home)(*up_options(served.ports[0]))
    assert done.returncode == 2
    assert "choose another with --port" in done.stderr
