"""A front door in front of an application that tells who asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import argon2
import pytest
from starlette.testclient import TestClient

from factory_assets.execution.ledger_entries import begin_ledger
from factory_assets.serving.http.listen import Listen
from factory_assets.web.access_log import AccessLog
from factory_assets.web.auditor.app import auditor_app
from factory_assets.web.door.address import DoorAddress
from factory_assets.web.door.door import Applications
from factory_assets.web.door.login import Cookie
from factory_assets.web.door.server import build_door
from factory_assets.web.pages.pages import pages
from factory_assets.web.visitor import visitor_of
from factory_resources.home.home import Home
from factory_resources.security.passwords import Passwords
from tests.browser import opened_browser
from tests.ledger import ledger_entries
from tests.loopback_servers import served_app

if TYPE_CHECKING:
    from playwright.sync_api import Page

ADDRESS = "http://127.0.0.1:3000"

PASSWORD = "correct horse battery"

PEOPLE = """\
jane:
  roles: [engineer, approver]
tom:
  roles: [auditor]
"""


async def _visitor_app(scope: Any, receive: Any, send: Any) -> None:
    """Tell who asks, and how many bytes came; a websocket tells it for each message."""
    visitor = visitor_of(scope)
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": visitor.name})
        return
    body = (await receive())["body"]
    text = f"{scope['path']} {visitor.name} {sorted(visitor.roles)} {len(body)}"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})


class FrontDoor:
    """The door of one home."""

    def __init__(self, home: Home) -> None:
        self.home = home
        begin_ledger(home)
        self.log = AccessLog(home)
        self.disk_thread, self.passwords = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        listen = Listen("127.0.0.1", 3000)
        apps = Applications({"/dagster": _visitor_app, "/mlflow": _visitor_app}, _visitor_app)
        cookie = Cookie("factory_3000", secure=False)
        self.app = build_door(
            home, DoorAddress(listen), cookie, self.log, self.disk_thread, self.passwords, apps
        )

    def browser(self, address: str = ADDRESS) -> TestClient:
        """Return a client that no server knows yet; it does not follow redirections."""
        return TestClient(self.app, address, follow_redirects=False)

    @contextmanager
    def served(self) -> Iterator[int]:
        """Serve the factory's own pages and the auditor's behind the door, and yield the port."""
        audit = {"/audit": auditor_app(self.home, self.log, "factory_3000")}
        self.app._app._apps = Applications(audit, pages(self.home, self.log, "factory_3000"))  # type: ignore[attr-defined]
        with served_app(self.app) as port:
            yield port

    def log_in(self, client: TestClient, name: str, password: str = PASSWORD, **form: str) -> Any:
        """Send the form of the login."""
        return client.post(
            "/login",
            data={"name": name, "password": password, **form},
            headers={"origin": ADDRESS},
        )

    def entries(self, kind: str) -> list[Any]:
        """Return the ledger's entries of a kind, what is counted included."""
        self.disk_thread.submit(int).result()
        self.passwords.submit(int).result()
        self.log.flush()
        every = ledger_entries(self.home)
        return [entry for entry in every if entry.kind == kind]


DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def tab() -> Iterator[Page]:
    """A page of a browser whose device has no passkey yet; what its console says fails the test."""
    with opened_browser() as browser:
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(60_000)
        console: list[str] = []
        page.on("console", lambda message: console.append(message.text))
        page.on("pageerror", lambda error: console.append(str(error)))
        devtools = context.new_cdp_session(page)
        devtools.send("WebAuthn.enable")
        devtools.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
        yield page
    # Chromium tells of refused logins, too.
    assert [text for text in console if "status of 401" not in text] == []


@pytest.fixture
def door(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FrontDoor]:
    """A door of a machine without people."""
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    # What a check costs is tested where it belongs.
    cheap = partial(argon2.PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(argon2, "PasswordHasher", cheap)
    (tmp_path / "defs").mkdir()
    home.require_writable()
    made = FrontDoor(home)
    yield made
    made.disk_thread.shutdown()
    made.passwords.shutdown()


@pytest.fixture
def declare_people(tmp_path: Path, home: Home) -> Callable[[str], None]:
    """Write `people.yaml`; everybody in it gets the same password."""

    def declare(text: str) -> None:
        (tmp_path / "defs" / "people.yaml").write_text(text, encoding="utf-8")
        passwords = Passwords(home)
        for name in ("jane", "tom"):
            if f"{name}:" in text and name not in passwords.names():
                passwords.set(name, PASSWORD)

    return declare
