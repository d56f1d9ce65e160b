"""Pages tell a token of its own pipelines, and nothing of others."""

from html import unescape

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from factory_assets.serving.http import champions
from factory_assets.serving.http.access import PageReader
from factory_assets.serving.http.champions import Champions
from factory_assets.serving.http.metrics import Metrics
from factory_assets.serving.http.pages import Pages
from factory_assets.serving.online.served_model import ServedModel
from factory_resources.home.home import Home
from factory_resources.security.request_guard import Message, Receive, Send
from factory_resources.security.tokens import Token

pytestmark = pytest.mark.slow


def reader(*pipelines: str) -> PageReader:
    """Return who has a token for these pipelines."""
    return PageReader(Token("line1", pipelines, "0" * 64, "2999-01-01"))


def browser(served: ServedModel, home: Home, who: PageReader | None) -> TestClient:
    """Return a client of a server with the pipelines `mine` and `theirs`, of which both failed."""
    both = ("mine", "theirs")
    found = Champions(home, both)
    found._served = dict.fromkeys(both, served)
    found._standings = dict.fromkeys(both, champions._Standing(served.version, None))
    found._faults = dict.fromkeys(both, "its graph was changed")
    metrics = Metrics()
    metrics.fed_back({("mine", "recorded"): 1, ("theirs", "recorded"): 1})
    pages = Pages(found, metrics, lambda: 0, 1.0)

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["reader"] = who
        await pages.application(scope, receive, send)

    return TestClient(application)


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/metrics", "/readyz"])
def test_a_page_tells_a_token_of_its_pipelines_only(
    path: str, served: ServedModel, home: Home
) -> None:
    own = browser(served, home, reader("mine")).get(path).text
    assert "mine" in own
    assert "theirs" not in own
    everything = browser(served, home, reader("mine", "theirs")).get(path).text
    assert everything.count("theirs") == everything.count("mine") > 0
    without = browser(served, home, PageReader(None)).get(path).text
    assert without.count("theirs") == without.count("mine") > 0


def test_no_route_tells_a_token_of_other_pipelines(served: ServedModel, home: Home) -> None:
    """Whatever route is added."""
    routes = Pages(Champions(home, ()), Metrics(), lambda: 0, 1.0).application.routes
    read = [
        route for route in routes if isinstance(route, Route) and "GET" in (route.methods or ())
    ]
    assert len(read) > 10
    client = browser(served, home, reader("mine"))
    for route in read:
        path = route.path.replace("{version}", "1")
        answer = client.get(path.replace("{name}", "theirs"), follow_redirects=False)
        if "{name}" in path:
            assert answer.status_code == 403, path
        else:
            assert "theirs" not in answer.text, path


def test_the_page_shows_a_command_that_asks_this_server(served: ServedModel, home: Home) -> None:
    told = unescape(browser(served, home, reader("mine")).get("/docs").text)
    assert 'curl -H "authorization: Bearer $TOKEN" http://testserver/predict/mine ' in told
    without = unescape(browser(served, home, PageReader(None)).get("/docs").text)
    assert "curl http://testserver/predict/mine " in without
    assert ('name="viewport"' in told, '<div class="wide"' in told) == (True, True)


def test_metrics_of_no_pipeline_are_told(served: ServedModel, home: Home) -> None:
    text = browser(served, home, reader("mine")).get("/metrics").text
    assert "\nfactory_queue 0.0\n" in text
    assert "\nfactory_cpu_seconds " in text


@pytest.mark.parametrize("end", ["", "/ready", "/versions/1", "/versions/1/ready"])
def test_a_model_of_others_is_not_described(end: str, served: ServedModel, home: Home) -> None:
    client = browser(served, home, reader("mine"))
    assert client.get(f"/v2/models/mine{end}").status_code == 200
    for name in ("theirs", "nothing"):
        refused = client.get(f"/v2/models/{name}{end}")
        assert refused.status_code == 403
        assert refused.json() == {"error": f"the token of 'line1' is not for '{name}'"}
    unlimited = browser(served, home, PageReader(None))
    assert unlimited.get(f"/v2/models/theirs{end}").status_code == 200
    assert unlimited.get(f"/v2/models/nothing{end}").status_code == 404


def test_who_asks_for_what_is_not_served_learns_only_of_its_own(
    served: ServedModel, home: Home
) -> None:
    client = browser(served, home, reader("mine", "gone"))
    answer = client.get("/v2/models/gone")
    assert answer.status_code == 404
    assert "no pipeline 'gone' is served; /docs lists" in answer.text
    assert "theirs" not in answer.text
    everything = browser(served, home, PageReader(None)).get("/v2/models/gone")
    assert "pipelines served: mine, theirs" in everything.text


@pytest.mark.parametrize(
    "path", ["/predict/mine", "/v2/models/x/infer", "/invocations", "/feedback"]
)
def test_what_is_asked_by_post_says_so_to_other_methods(
    path: str, served: ServedModel, home: Home
) -> None:
    client = browser(served, home, PageReader(None))
    for method in ("GET", "PUT"):
        answer = client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert f"{method} {path}: it answers only POST; /docs" in answer.text
    assert client.post(path).status_code == 404


def test_behind_a_proxy_nobody_is_led_from_https_to_http(served: ServedModel, home: Home) -> None:
    client = browser(served, home, reader("mine"))
    for path, to in (
        ("/docs/", "/docs"),
        ("/predict/mine/?explain=true", "/predict/mine?explain=true"),
        ("//evil.example/", "/evil.example"),
    ):
        answer = client.post(f"http://testserver{path}", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (307, to)
    forwarded = {"host": "predict.example", "x-forwarded-proto": "https"}
    told = unescape(client.get("/docs", headers=forwarded).text)
    assert "https://predict.example/predict/mine" in told
    told = unescape(client.get("/docs", headers=forwarded | {"x-forwarded-proto": "x"}).text)
    assert "http://predict.example/predict/mine" in told


def test_a_stranger_learns_whether_it_is_ready(served: ServedModel, home: Home) -> None:
    reply = browser(served, home, None).get("/readyz")
    assert (reply.status_code, reply.json()) == (503, {"ready": False})
