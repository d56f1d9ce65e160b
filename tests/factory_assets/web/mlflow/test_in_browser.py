"""MLflow's pages behind the list in a real browser."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlparse

import pytest

from factory_assets.web.visitor import Visitor, set_visitor
from factory_resources.security.request_guard import Guard
from tests.browser import opened_browser
from tests.factory_assets.web.mlflow.conftest import PREFIX, SESSION, MlflowSite
from tests.loopback_servers import served_app

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.browser]


class Opened(NamedTuple):
    page: "Page"
    address: str
    requests: list[tuple[str, int]]
    """Address and status of every answer."""


@pytest.fixture(scope="module")
def served(factory: MlflowSite) -> Iterator[str]:
    """The application behind the guard on a port of its own, asked by an auditor."""

    async def visited(scope: Any, receive: Any, send: Any) -> None:
        set_visitor(scope, Visitor("ann", frozenset({"auditor"}), SESSION))
        await factory.app(scope, receive, send)

    with served_app(Guard(visited)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def opened(served: str) -> Iterator[Opened]:
    with opened_browser() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
        answers: list[tuple[str, int]] = []
        page.on("response", lambda response: answers.append((response.url, response.status)))
        yield Opened(page, served, answers)


def test_the_ui_opens_on_the_models_without_assistant_and_asks_no_other_host(
    opened: Opened, factory: MlflowSite
) -> None:
    before = factory.refusals()
    page = opened.page
    page.goto(f"{opened.address}{PREFIX}")
    page.get_by_role("link", name="m", exact=True).wait_for()
    assert page.url == f"{opened.address}{PREFIX}/#/models"
    for refused in ("Create Model", "New model registry UI"):
        found = page.get_by_text(refused, exact=True)
        assert found.count(), "MLflow has it no more: do not hide it"
        assert not found.first.is_visible(), refused
    run = f"#/experiments/{factory.experiment_id}/runs/{factory.run_id}"
    page.goto("about:blank")  # or the page of the models, still loading, changes the address back
    page.goto(f"{opened.address}{PREFIX}/{run}/artifacts/evaluation/page.html")
    page.get_by_text("curve.png").wait_for()
    for hidden in ("[data-assistant-ui]", 'aside a[href^="http"]', 'aside a[href*="settings"]'):
        assert not [one for one in page.locator(hidden).all() if one.is_visible()], hidden
    assert page.locator('[role="dialog"]').count() == 0
    hosts = {urlparse(url).netloc for url, _ in opened.requests if url.startswith("http")}
    assert hosts == {urlparse(opened.address).netloc}
    assert [url for url, status in opened.requests if status == 403] == []
    assert factory.refusals() == before
