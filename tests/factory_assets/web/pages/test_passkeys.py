"""Who adds a passkey to whom, and who removes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

pytest.importorskip("webauthn")

from factory_assets.execution.ledger_entries import begin_ledger
from factory_assets.web.access_log import AccessLog
from factory_assets.web.door.login import form_token
from factory_assets.web.pages.pages import pages
from factory_assets.web.visitor import Visitor, set_visitor
from factory_resources.home.home import Home
from factory_resources.security import challenges, passkey_proofs
from factory_resources.security import sessions as session_store
from factory_resources.security.passkeys import Passkeys
from factory_resources.security.request_guard import STRICTER
from factory_resources.security.sessions import Sessions
from tests.authenticator import Authenticator
from tests.factory_assets.web.pages.markup import mistakes_of, text_of
from tests.ledger import ledger_entries

SITE = "http://localhost:3000"

Enter = Callable[..., "Browser"]


class Browser(TestClient):
    """The browser of a person who just logged in."""

    def __init__(self, home: Home, name: str, address: str) -> None:
        self.home, self.log = home, AccessLog(home)
        text, session = Sessions(home).begin(name, "password")
        app = pages(home, self.log, "factory_3000")
        visitor = Visitor(name, frozenset({"auditor"}), session.sha256)

        async def behind(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                set_visitor(scope, visitor)
            await app(scope, receive, send)

        cookies = {"factory_3000": text}
        super().__init__(behind, address, cookies=cookies, follow_redirects=False)
        self.token = form_token(text)

    def submit(self, path: str, **form: str) -> Any:
        """Send a form of one's own page."""
        return self.post(f"/me/passkeys{path}", data={"form_token": self.token, **form})

    def add(self, device: Authenticator, name: str = "laptop") -> Any:
        """Add a passkey, as the page's script does."""
        options = self.submit("/options")
        assert options.status_code == 200, options.text
        return self.submit("", name=name, credential=device.create(options.text))

    def entries(self) -> list[Any]:
        """Return what the ledger says of actions and refusals."""
        self.log.flush()
        every = ledger_entries(self.home)
        return [entry for entry in every if entry.kind in ("action", "refused")]


@pytest.fixture
def enter(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Enter:
    """Let a person in."""
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    (tmp_path / "defs").mkdir()
    people = "jane:\n  roles: [auditor]\ntom:\n  roles: [auditor]\n"
    (tmp_path / "defs" / "people.yaml").write_text(people, encoding="utf-8")
    home.require_writable()
    begin_ledger(home)
    return lambda name="jane", address=SITE: Browser(home, name, address)


@pytest.fixture
def device() -> Authenticator:
    return Authenticator(SITE)


def test_a_person_adds_passkeys_and_removes_one(
    enter: Enter, device: Authenticator, home: Home
) -> None:
    jane = enter()
    assert "You have none." in text_of(jane.get("/me").text)
    for name in (" my \t laptop ", 'phone"><script>'):
        answer = jane.add(device, name)
        assert (answer.status_code, answer.headers["location"]) == (303, "/me")
    html = jane.get("/me").text
    assert mistakes_of(html) == []
    assert "my laptop" in text_of(html)
    assert 'phone"><script>' in text_of(html)
    first, second = Passkeys(home).of("jane")
    assert (first.person, first.host, first.user) == ("jane", "localhost", second.user)
    assert html.count(f'name="form_token" value="{jane.token}"') == html.count('method="post"')
    assert jane.submit("/remove", passkey=first.id).status_code == 303
    assert Passkeys(home).of("jane") == (second,)


def test_the_ledger_tells_of_it_and_names_nobody(
    enter: Enter, device: Authenticator, home: Home
) -> None:
    jane = enter()
    jane.add(device, "janes laptop")
    jane.submit("/remove", passkey=Passkeys(home).of("jane")[0].id)
    added, removed = jane.entries()
    assert (added.operations, removed.operations) == (("add passkey",), ("remove passkey",))
    assert added.about == removed.about
    assert re.fullmatch(r"passkey [0-9a-f]{16}", added.about[0])
    assert "jane" not in added.model_dump_json()


def test_a_session_older_than_ten_minutes_adds_no_passkey(
    enter: Enter, device: Authenticator, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    jane = enter()
    credential = device.create(jane.submit("/options").text)
    [session] = Sessions(home).of("jane")
    monkeypatch.setattr(session_store.time, "time", lambda: session.began + 599)
    assert 'data-passkey="create"' in jane.get("/me").text
    monkeypatch.setattr(session_store.time, "time", lambda: session.began + 601)
    answer = jane.submit("/options")
    assert (answer.status_code, answer.headers["content-type"][:10]) == (403, "text/plain")
    assert "more than ten minutes ago" in answer.text
    assert jane.submit("", name="laptop", credential=credential).status_code == 409
    html = jane.get("/me").text
    assert "data-passkey" not in html
    assert "log out and in again" in html
    assert Passkeys(home).of("jane") == ()
    assert {(one.reason, one.operation) for one in jane.entries()} == {
        ("not allowed", "add passkey")
    }


def test_a_passkey_is_added_once_within_two_minutes_in_the_session_that_asked(
    enter: Enter, device: Authenticator, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    jane, tom = enter(), enter("tom")
    credential = device.create(jane.submit("/options").text)
    tom.submit("/options")
    assert tom.submit("", name="x", credential=credential).status_code == 409
    assert enter().submit("", name="x", credential=credential).status_code == 409
    assert jane.submit("", name="x", credential=credential).status_code == 303
    assert jane.submit("", name="x", credential=credential).status_code == 409
    late, now = device.create(jane.submit("/options").text), challenges.time.monotonic()
    monkeypatch.setattr(challenges.time, "monotonic", lambda: now + 121)
    assert jane.submit("", name="x", credential=late).status_code == 409
    assert len(Passkeys(home).of("jane")) == 1


def test_what_no_page_of_the_door_sent_changes_nothing(
    enter: Enter, device: Authenticator, home: Home
) -> None:
    jane = enter()
    jane.add(device)
    [passkey] = Passkeys(home).of("jane")
    credential = device.create(jane.submit("/options").text)
    wrong = {"form_token": "0" * 64}
    assert jane.submit("/options", **wrong).status_code == 403
    assert jane.submit("", name="x", credential=credential, **wrong).status_code == 403
    assert jane.submit("/remove", passkey=passkey.id, **wrong).status_code == 403
    assert Passkeys(home).of("jane") == (passkey,)


def test_nobody_removes_another_persons_passkey(
    enter: Enter, device: Authenticator, home: Home
) -> None:
    jane, tom = enter(), enter("tom")
    jane.add(device)
    [passkey] = Passkeys(home).of("jane")
    assert tom.submit("/remove", passkey=passkey.id).status_code == 303
    assert Passkeys(home).of("jane") == (passkey,)
    assert [one.operations for one in jane.entries()] == [("add passkey",)]


@pytest.mark.parametrize("name", ["", "   ", "a\0b", "a\u202eb"])
def test_a_passkey_needs_a_name(enter: Enter, device: Authenticator, home: Home, name: str) -> None:
    answer = enter().add(device, name)
    assert answer.status_code == 409
    assert "has no name" in answer.text
    assert Passkeys(home).of("jane") == ()


@pytest.mark.parametrize("origin", ["http://evil.example", "https://localhost:3000"])
def test_a_passkey_of_another_page_is_not_added(enter: Enter, home: Home, origin: str) -> None:
    answer = enter().add(Authenticator(origin))
    assert answer.status_code == 409
    assert mistakes_of(answer.text) == []
    assert Passkeys(home).of("jane") == ()


def test_a_page_at_an_address_says_where_passkeys_are_added(
    enter: Enter, device: Authenticator, home: Home
) -> None:
    here, elsewhere = enter(), enter(address="http://127.0.0.1:3000")
    options = device.create(here.submit("/options").text)
    answer = elsewhere.get("/me")
    assert mistakes_of(answer.text) == []
    assert "A passkey belongs to a host name" in text_of(answer.text)
    assert "script" not in answer.text + answer.headers[STRICTER.decode()]
    assert elsewhere.submit("/options").status_code == 403
    assert elsewhere.submit("", name="x", credential=options).status_code == 409
    policy = here.get("/me").headers[STRICTER.decode()].split("; ")
    assert {"script-src 'self'", "connect-src 'self'", "default-src 'none'"} <= {*policy}
    assert "script" not in here.get("/").headers[STRICTER.decode()]


def test_without_the_extra_or_without_people_no_page_mentions_passkeys(
    enter: Enter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jane = enter()
    assert "passkey" in jane.get("/me").text
    with monkeypatch.context() as patched:
        patched.setattr(passkey_proofs, "find_spec", lambda name: None)
        assert "passkey" not in jane.get("/me").text
        assert jane.submit("/options").status_code == 403
    (tmp_path / "defs" / "people.yaml").unlink()
    assert "passkey" not in jane.get("/me").text
    assert jane.submit("/options").status_code == 403
