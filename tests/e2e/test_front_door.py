"""The front door of a factory that is up: each role in a real browser, other users, raw sockets."""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from factory_resources.home.home import Home
from factory_resources.ledger.access_entries import AccessRefused, ActionTaken
from factory_resources.ledger.ledger import Ledger, entry_in
from factory_resources.security.commitments import Commitments
from factory_resources.security.login_links import LoginLinks
from factory_resources.security.passwords import Passwords
from tests.approvals import Factory
from tests.browser import opened_browser
from tests.ledger import ledger_entries
from tests.loopback import OTHER, ask_as, needs_root, run_as
from tests.running_factory import RunningFactory, ask_graphql

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery"

PEOPLE = """\
ann:
  roles: [engineer]
jane:
  roles: [approver]
paul:
  roles: [auditor]
"""

LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on InvalidSubsetError { message }
    ... on PythonError { message }
  }
}"""

PARAMS = {
    "selector": {
        "repositoryLocationName": "factory",
        "repositoryName": "__repository__",
        "pipelineName": "__ASSET_JOB",
        "assetSelection": [{"path": ["apples", "ingest"]}],
    },
    "mode": "default",
    "runConfigData": {},
}


@pytest.fixture(scope="module")
def up(made: Factory) -> Iterator[RunningFactory]:
    """A factory with three people, each of another role."""
    (made.defs / "people.yaml").write_text(PEOPLE, encoding="utf-8")
    for name in ("ann", "jane", "paul"):
        Passwords(made.home).set(name, PASSWORD)
    running = RunningFactory(made.home.path)
    yield running
    running.stop()


@contextmanager
def enter(up: RunningFactory, name: str) -> Iterator[httpx.Client]:
    """Open a client with the session of a person."""
    with httpx.Client(base_url=up.url, timeout=60, headers={"origin": up.url}) as client:
        answer = client.post("/login", data={"name": name, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        yield client


def entries(home: Home, kind: type[Any]) -> list[Any]:
    every = ledger_entries(home)
    return [entry for entry in every if isinstance(entry, kind)]


@pytest.mark.long
def test_who_launched_a_run_is_in_the_ledger_and_on_the_run(
    up: RunningFactory, made: Factory
) -> None:
    with enter(up, "ann") as ann:
        launched = ask_graphql(ann, LAUNCH, params=PARAMS)["launchPipelineExecution"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        query = "query Q($id: ID!) {runOrError(runId: $id) {... on Run {tags {key value}}}}"
        found = ask_graphql(ann, query, id=launched["run"]["runId"])["runOrError"]
    tags = {tag["key"]: tag["value"] for tag in found["tags"]}
    action = entries(made.home, ActionTaken)[-1]
    assert action.operations == ("launchPipelineExecution",)
    assert "apples" in action.about
    assert Commitments(made.home).name_of("person", action.person) == "ann"
    assert tags["factory/person"] == "ann"
    with Ledger(made.home).reading() as log:
        assert entry_in(log, int(tags["factory/act"])) == action


@pytest.mark.parametrize("name", ["jane", "paul"])
def test_who_only_reads_launches_nothing(up: RunningFactory, made: Factory, name: str) -> None:
    before = len(entries(made.home, ActionTaken))
    with enter(up, name) as reader:
        assert reader.get("/dagster/graphql", params={"query": "{version}"}).status_code == 403
        assert ask_graphql(reader, "{version}")["version"]
        refused = reader.post(
            "/dagster/graphql", json={"query": LAUNCH, "variables": {"params": PARAMS}}
        )
        assert refused.status_code == 403
        assert refused.text == "refused: launchPipelineExecution: only an engineer may\n"
        tag = {"name": "apples", "key": "note", "value": "x"}
        path = "/mlflow/ajax-api/2.0/mlflow/registered-models/set-tag"
        assert reader.post(path, json=tag).status_code == 403
    assert len(entries(made.home, ActionTaken)) == before


@pytest.mark.browser
def test_the_pages_offer_each_role_what_it_may(up: RunningFactory) -> None:
    with opened_browser() as browser:
        for name, may in (("ann", True), ("jane", False), ("paul", False)):
            page = _logged_in(browser, up, name)
            page.goto(f"{up.url}/dagster/locations/__repository__@factory/asset-groups/apples")
            button = page.get_by_role("button", name=re.compile("Materialize"))
            page.get_by_text("ingest", exact=True).first.wait_for()
            button.first.wait_for()
            assert button.first.is_enabled() is may, name
            page.goto(f"{up.url}/mlflow/")
            page.get_by_text("apples").first.wait_for()
            page.goto(f"{up.url}/")
            page.get_by_role("heading", name="Pipelines").wait_for()


def _logged_in(browser: Browser, up: RunningFactory, name: str) -> Any:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{up.url}/me")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{up.url}/me")
    page.get_by_text(name).first.wait_for()
    return page


@needs_root
def test_another_user_of_the_machine_gets_nothing(up: RunningFactory, made: Factory) -> None:
    port = up.ports[0]
    with enter(up, "ann") as ann:
        [(name, value)] = ann.cookies.items()
        stolen = {"cookie": f"{name}={value}"}
        link = f"/login?token={LoginLinks(made.home).new()}"
        asked = [("/", None, {}), ("/dagster", None, stolen), ("/mlflow/", None, stolen)]
        answers = ask_as(OTHER, "127.0.0.1", port, [*asked, (link, None, {})])
        assert [status for status, _ in answers] == [401, 401, 401, 403]
        assert ann.get("/dagster/").status_code == 200
    walk = "print([name for _, _, names in os.walk(sys.argv[1]) for name in names])"
    assert run_as(OTHER, walk, str(made.home.path)) == "[]\n"


@needs_root
def test_another_user_reaches_no_socket_between_our_processes(up: RunningFactory) -> None:
    paths = {
        connection.laddr
        for connection in _connections(up, "unix")
        if connection.laddr and connection.laddr.startswith("/")
    }
    assert paths
    for path in paths:
        assert stat.S_IMODE(os.stat(Path(path).parent).st_mode) == 0o700
        code = "s = socket.socket(socket.AF_UNIX)\ntry:\n  s.connect(sys.argv[1])\n"
        code += "except PermissionError:\n  print('refused')\n"
        assert run_as(OTHER, code, path) == "refused\n"


def _connections(up: RunningFactory, kind: str) -> Iterator[Any]:
    """Yield the connections of the processes of a factory that is up."""
    up_process = psutil.Process(up.process.pid)
    for process in (up_process, *up_process.children(recursive=True)):
        # Those of a run end meanwhile.
        with suppress(psutil.NoSuchProcess):
            yield from process.net_connections(kind)


def test_nothing_listens_but_the_door_and_the_prediction_server(up: RunningFactory) -> None:
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for connection in _connections(up, "inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", port) for port in up.ports}


@pytest.mark.parametrize(
    "request_text",
    [
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example\r\n\r\n",
        "POST /login HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 5\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /me HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /login HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 5\r\n"
        "Content-Length: 6\r\n\r\nhello",
        "GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX: " + "x" * 70_000 + "\r\n\r\n",
        "CONNECT evil.example:443 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
        "nonsense\r\n\r\n",
    ],
    ids=["two hosts", "two lengths", "two sizes", "proxy", "huge header", "connect", "nonsense"],
)
def test_a_malformed_request_gets_nowhere(up: RunningFactory, request_text: str) -> None:
    with socket.create_connection(("127.0.0.1", up.ports[0]), timeout=30) as connection:
        connection.sendall(request_text.replace("{port}", str(up.ports[0])).encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while part := connection.recv(1 << 16):
                answer += part
        except ConnectionResetError:
            pass
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert not answer or answer.split()[1] in (b"400", b"403", b"405")


def test_a_slow_sender_is_cut_off_and_others_are_answered(up: RunningFactory) -> None:
    slow = [socket.create_connection(("127.0.0.1", up.ports[0])) for _ in range(50)]
    for connection in slow:
        connection.sendall(b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\na")
    assert httpx.get(f"{up.url}/healthz", timeout=30).text == "ok\n"
    deadline = time.monotonic() + 60
    for connection in slow:
        connection.settimeout(max(1.0, deadline - time.monotonic()))
        connection.recv(1 << 16)
        connection.close()


def test_many_wrong_logins_leave_the_pages_of_others(up: RunningFactory, made: Factory) -> None:
    with (
        enter(up, "paul") as paul,
        httpx.Client(base_url=up.url, headers={"origin": up.url}, timeout=60) as bot,
    ):

        def fail(number: int) -> int:
            return bot.post("/login", data={"name": f"n{number}", "password": "x"}).status_code

        with ThreadPoolExecutor(30) as threads:
            codes = {*threads.map(fail, range(60))}
        assert codes <= {401, 429}
        assert 429 in codes
        assert paul.get("/").status_code == 200
    time.sleep(0.1)
    refusals = entries(made.home, AccessRefused)
    assert len(refusals) < 60, "each try is an entry of its own"


def test_a_link_inside_the_artifacts_leads_nowhere(up: RunningFactory, made: Factory) -> None:
    with enter(up, "ann") as ann:
        found = ann.post(
            "/mlflow/ajax-api/2.0/mlflow/runs/search", json={"experiment_ids": ["1"]}
        ).json()["runs"][0]["info"]
        files = made.home.path / "artifacts" / "apples" / found["run_id"] / "artifacts"
        files.mkdir(parents=True, exist_ok=True)
        (files / "plain.txt").write_text("mine")
        (files / "passwd.txt").symlink_to("/etc/passwd")
        (files / "etc").symlink_to("/etc")

        def get(path: str) -> httpx.Response:
            given = {"run_id": found["run_id"], "path": path}
            return ann.get("/mlflow/get-artifact", params=given)

        assert get("plain.txt").text == "mine"
        for path in (
            "passwd.txt",
            "etc/passwd",
            "../../../../secrets/passwords.json",
            "/etc/passwd",
        ):
            answer = get(path)
            assert answer.status_code == 404
            assert "root:" not in answer.text
    shutil.rmtree(files / "etc", ignore_errors=True)
