"""What passes the door: sessions, bodies, websockets, and whose cookie it is."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from anyio.to_thread import current_default_thread_limiter
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from factory_assets.declarations.people import people_file
from factory_assets.web.door import bodies
from factory_assets.web.door.door import Applications
from factory_assets.web.door.login import local_path
from factory_resources.errors import StorageError
from factory_resources.security import sessions as session_store
from factory_resources.security.login_links import LoginLinks
from factory_resources.security.passwords import Passwords
from factory_resources.security.request_guard import Message, Receive, Send
from factory_resources.security.sessions import Sessions
from tests.factory_assets.web.door.conftest import ADDRESS, PASSWORD, PEOPLE, FrontDoor

Declare = Callable[[str], None]

WEBSOCKET = ADDRESS.replace("http", "ws")

PAGE = {"accept": "text/html,application/xhtml+xml"}


@pytest.fixture
def jane(door: FrontDoor, declare_people: Declare) -> TestClient:
    declare_people(PEOPLE)
    browser = door.browser()
    assert door.log_in(browser, "jane").status_code == 303
    return browser


def test_a_stranger_is_led_to_the_login(door: FrontDoor) -> None:
    browser = door.browser()
    assert browser.get("/", headers=PAGE).headers["location"] == "/login"
    led = browser.get("/dagster/assets", headers=PAGE)
    assert (led.status_code, led.headers["location"]) == (303, "/login?next=/dagster/assets")
    asked = "/audit/files/5%20e?line=7&q=a%20b%2F%26c"
    led = browser.get(asked, headers=PAGE)
    [after] = parse_qs(urlsplit(led.headers["location"]).query)["next"]
    assert (after, local_path(after)) == (asked, asked)
    for path in ("/mlflow", "/dagster/graphql", "/logout", "/x"):
        assert browser.get(path).status_code == 401
    assert browser.post("/dagster/graphql", json={}).status_code == 401
    with (
        pytest.raises(WebSocketDisconnect),
        browser.websocket_connect(f"{WEBSOCKET}/dagster/graphql"),
    ):
        pass
    assert browser.get("/healthz").text == "ok\n"


def test_the_address_of_a_form_leads_to_its_page(door: FrontDoor, jane: TestClient) -> None:
    """Browsers stay at it when the form was refused."""
    refused = door.browser().get("/login/passkey", headers=PAGE)
    assert (refused.status_code, refused.headers["location"]) == (303, "/login")
    typed = jane.get("/logout", headers=PAGE)
    assert (typed.status_code, typed.headers["location"]) == (303, "/me")
    assert jane.get("/me").status_code == 200


def test_who_sends_a_form_after_the_session_is_led_to_the_login(door: FrontDoor) -> None:
    browser = door.browser()
    browser.cookies.set("factory_3000", "ended")
    for path in ("/logout", "/approvals/apples/2"):
        led = browser.post(path, data={"reason": "why"}, headers={**PAGE, "origin": ADDRESS})
        assert (led.status_code, led.headers["location"]) == (303, f"/login?next={path}")
    assert {entry.reason for entry in door.entries("refused")} == {"no session"}


def test_the_door_lives_while_all_threads_wait(door: FrontDoor) -> None:
    async def look() -> int:
        threads = current_default_thread_limiter()
        threads.total_tokens = 1
        await threads.acquire_on_behalf_of(object())
        transport = httpx.ASGITransport(door.app)
        async with asyncio.timeout(5), httpx.AsyncClient(transport=transport) as client:
            return (await client.get(f"{ADDRESS}/healthz")).status_code

    assert asyncio.run(look()) == 200


def test_an_unknown_session_is_refused_and_recorded(door: FrontDoor) -> None:
    browser = door.browser()
    browser.cookies.set("factory_3000", "x" * 43)
    assert browser.get("/mlflow").status_code == 401
    assert [entry.reason for entry in door.entries("refused")] == ["no session"]


def test_who_asks_for_many_addresses_does_not_fill_the_ledger(door: FrontDoor) -> None:
    browser = door.browser()
    for number in range(300):
        assert browser.get(f"/x/{number}").status_code == 401
    refused = door.entries("refused")
    assert sum(entry.count for entry in refused) == 300
    assert len(refused) <= 60


@pytest.mark.parametrize("seconds", [session_store.IDLE + 1, session_store.LIFETIME + 1])
def test_a_session_ends(jane: TestClient, monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    now = session_store.time.time()
    monkeypatch.setattr(session_store.time, "time", lambda: now + seconds)
    assert jane.get("/mlflow").status_code == 401


def test_a_session_that_is_used_lasts_longer_than_an_idle_one(
    jane: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = session_store.time.time()
    for hours in (1.5, 3, 4.5):
        later = now + hours * 3600
        monkeypatch.setattr(session_store.time, "time", lambda later=later: later)
        assert jane.get("/mlflow").status_code == 200


def test_what_a_person_may_do_changes_at_once(
    door: FrontDoor, jane: TestClient, declare_people: Declare
) -> None:
    assert "jane ['approver', 'engineer']" in jane.get("/").text
    declare_people("jane:\n  roles: [auditor]\n")
    assert "jane ['auditor']" in jane.get("/").text
    declare_people("tom:\n  roles: [auditor]\n")
    assert jane.get("/").status_code == 401


@pytest.mark.parametrize(
    "without", ["tom:\n  roles: [auditor]\n", PEOPLE.replace("[engineer, approver]", "[]")]
)
def test_the_session_of_a_person_who_was_removed_does_not_come_back(
    door: FrontDoor, jane: TestClient, declare_people: Declare, without: str
) -> None:
    declare_people(without)
    assert jane.get("/").status_code == 401
    assert Sessions(door.home).of("jane") == ()
    declare_people(PEOPLE)
    assert jane.get("/").status_code == 401
    [started], [ended] = door.entries("login"), door.entries("logout")
    assert ended.session == started.session


def test_a_websocket_ends_the_session_of_a_person_who_was_removed(
    door: FrontDoor, jane: TestClient, declare_people: Declare
) -> None:
    declare_people("tom:\n  roles: [auditor]\n")
    with pytest.raises(WebSocketDisconnect), jane.websocket_connect(f"{WEBSOCKET}/dagster"):
        pass
    assert Sessions(door.home).of("jane") == ()


def test_a_person_who_was_removed_is_refused_while_no_session_can_be_ended(
    door: FrontDoor, jane: TestClient, declare_people: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_people("tom:\n  roles: [auditor]\n")

    def refuse(*_: object) -> None:
        raise StorageError("the disk is full", remedy="free some")

    monkeypatch.setattr(Sessions, "end", refuse)
    answer = jane.get("/")
    assert (answer.status_code, "disk" in answer.text) == (401, False)


@pytest.mark.parametrize("by", ["password", "link"])
def test_without_people_no_session_of_one_of_them_is_that_of_the_owner(
    door: FrontDoor, declare_people: Declare, by: str
) -> None:
    account, browser = getpass.getuser(), door.browser()
    name = account if by == "password" else "tom"
    declare_people(f"{name}:\n  roles: [auditor]\n  account: {account}\n")
    if by == "password":
        Passwords(door.home).set(name, PASSWORD)
        door.log_in(browser, name)
    else:
        browser.get(f"/login?token={LoginLinks(door.home).new()}")
    assert f"{name} ['auditor']" in browser.get("/").text
    people_file().unlink()
    assert browser.get("/").status_code == 401


def test_an_empty_file_of_people_withdraws_everybody(
    door: FrontDoor, jane: TestClient, declare_people: Declare
) -> None:
    declare_people("")
    assert jane.get("/").status_code == 401


def test_people_with_a_mistake_are_one_line(
    door: FrontDoor, jane: TestClient, declare_people: Declare
) -> None:
    declare_people("jane:\n  roles: [king]\n")
    answer = jane.get("/")
    assert answer.status_code == 503
    assert "people.yaml:2" in answer.text
    assert len(answer.text.splitlines()) == 1


def test_people_that_cannot_be_read_are_one_line(
    door: FrontDoor, jane: TestClient, tmp_path: Path
) -> None:
    (tmp_path / "defs").rename(tmp_path / "away")
    (tmp_path / "defs").touch()
    answer = jane.get("/")
    assert (answer.status_code, len(answer.text.splitlines())) == (503, 1)
    assert "people.yaml: cannot be read (Not a directory)" in answer.text
    (tmp_path / "defs").unlink()
    (tmp_path / "away").rename(tmp_path / "defs")
    assert jane.get("/").status_code == 200


def test_sessions_that_cannot_be_read_are_one_line(door: FrontDoor, jane: TestClient) -> None:
    Sessions(door.home).file.write_text("[")
    answer = jane.get("/")
    assert answer.status_code == 503
    assert "remove the file; everybody logs in again" in answer.text
    assert len(answer.text.splitlines()) == 1


def test_a_cookie_counts_for_the_system_user_only_who_logged_in(
    door: FrontDoor, declare_people: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_people(PEOPLE)
    guarded = door.app._app
    for part in (guarded, guarded._login):  # type: ignore[attr-defined]
        monkeypatch.setattr(part, "_peer", lambda scope: 1000)
    browser = door.browser()
    door.log_in(browser, "jane")
    assert browser.get("/").status_code == 200
    monkeypatch.setattr(guarded, "_peer", lambda scope: 1001)
    assert browser.get("/").status_code == 401
    monkeypatch.setattr(guarded, "_peer", lambda scope: None)
    assert browser.get("/").status_code == 401


@pytest.mark.parametrize(
    "other", ['seen={"tips":1}', "last[tab]=2", "path=/lab", "name=J\xfcrgen", 'cut="off', "a b=1"]
)
def test_a_session_is_found_behind_whatever_cookie_another_server_of_the_host_set(
    door: FrontDoor, jane: TestClient, other: str
) -> None:
    own = f"factory_3000={jane.cookies['factory_3000']}"
    for cookies in (f"{other}; {own}", f"{own}; {other}"):
        headers = {b"cookie": cookies.encode("latin-1")}
        assert "jane" in door.browser().get("/", headers=headers).text, cookies


def test_a_websocket_ends_with_its_session(door: FrontDoor, jane: TestClient) -> None:
    cookie = {"cookie": f"factory_3000={jane.cookies['factory_3000']}"}
    with jane.websocket_connect(f"{WEBSOCKET}/dagster/graphql", headers=cookie) as socket:
        socket.send_text("who?")
        assert socket.receive_text() == "jane"
        sessions = Sessions(door.home)
        sessions.end(session.sha256 for session in sessions.of("jane"))
        socket.send_text("who?")
        with pytest.raises(WebSocketDisconnect):
            socket.receive_text()


def test_a_websocket_says_nothing_after_its_session(door: FrontDoor, jane: TestClient) -> None:
    async def push(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        sessions = Sessions(door.home)
        sessions.end(session.sha256 for session in sessions.of("jane"))
        await send({"type": "websocket.send", "text": "secret"})

    door.app._app._apps = Applications({}, push)  # type: ignore[attr-defined]
    cookie = {"cookie": f"factory_3000={jane.cookies['factory_3000']}"}
    with (
        jane.websocket_connect(f"{WEBSOCKET}/dagster/graphql", headers=cookie) as socket,
        pytest.raises(WebSocketDisconnect) as closed,
    ):
        socket.receive_text()
    assert closed.value.code == 4401


def test_a_websocket_ends_while_nobody_can_tell_whose_it_is(
    jane: TestClient, declare_people: Declare
) -> None:
    cookie = {"cookie": f"factory_3000={jane.cookies['factory_3000']}"}
    with jane.websocket_connect(f"{WEBSOCKET}/dagster/graphql", headers=cookie) as socket:
        declare_people("jane:\n  roles: [king]\n")
        socket.send_text("who?")
        with pytest.raises(WebSocketDisconnect):
            socket.receive_text()
    with (
        pytest.raises(WebSocketDisconnect) as closed,
        jane.websocket_connect(f"{WEBSOCKET}/dagster/graphql", headers=cookie),
    ):
        pass
    assert closed.value.code == 1013


def test_a_body_is_passed_on_whole(jane: TestClient) -> None:
    answer = jane.post("/dagster/x", content=b"x" * bodies.LARGEST, headers={"origin": ADDRESS})
    assert answer.text.endswith(f" {bodies.LARGEST}")


def test_a_huge_body_is_refused(jane: TestClient) -> None:
    def parts():  # type: ignore[no-untyped-def]
        for _ in range(5):
            yield b"x" * (1 << 20)

    declared = jane.post("/dagster/x", content=b"x" * (bodies.LARGEST + 1))
    undeclared = jane.post("/dagster/x", content=parts())
    assert declared.status_code == undeclared.status_code == 413


def _part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_in_parts_is_read_whole_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*messages: Message, length: bytes = b"2") -> bytes:
        waiting = [*messages]

        async def receive() -> Message:
            return waiting.pop(0) if waiting else await asyncio.Future()

        return asyncio.run(bodies.read_body({"headers": [(b"content-length", length)]}, receive))

    first = _part(b"a", more=True)
    assert read(first, _part(b"b", more=False)) == b"ab"
    with pytest.raises(bodies.BodyError, match="more than"):
        read(length=b"-1")
    with pytest.raises(bodies.BodyError, match="is not complete"):
        read(first, {"type": "http.disconnect"})
    monkeypatch.setattr(bodies, "_SECONDS", 0)
    with pytest.raises(bodies.BodyError, match="did not arrive within"):
        read(first)


def test_a_stranger_sends_no_more_than_a_form(door: FrontDoor, jane: TestClient) -> None:
    stranger = door.browser()
    for path, status in (("/login", 401), ("/login/passkey", 403), ("/dagster/x", 401)):
        fits = stranger.post(path, content=b"x" * bodies.STRANGERS, headers={"origin": ADDRESS})
        assert fits.status_code == status
        large = b"x" * (bodies.STRANGERS + 1)
        for content in (large, iter([large])):
            refused = stranger.post(path, content=content, headers={"origin": ADDRESS})
            assert refused.status_code == 413
            assert "more than 131,072 bytes" in refused.text


@pytest.mark.parametrize("path", ["/dagsterx", "/mlflow2", "/DAGSTER", "/x/dagster"])
def test_only_its_own_paths_reach_an_application(
    jane: TestClient, door: FrontDoor, path: str
) -> None:
    apps = door.app._app._apps  # type: ignore[attr-defined]
    assert apps.application(path) is apps.pages
    assert apps.application("/dagster/assets/x") is apps.by_prefix["/dagster"]
