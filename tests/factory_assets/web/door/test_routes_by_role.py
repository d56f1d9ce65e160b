"""Every route of the front door, the factory's own pages and the auditor's, by every role.

Dagster's operations and MLflow's endpoints are walked in the tests of `web.dagster` and
`web.mlflow`. A new route turns a test red until `RULES` says who may ask for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.routing import BaseRoute, Route
from starlette.testclient import TestClient

from factory_assets.spec.people import ROLES
from factory_assets.web.auditor.app import auditor_app
from factory_assets.web.door.door import Applications
from factory_assets.web.door.login import form_token
from factory_assets.web.pages.pages import pages
from factory_resources.security.sessions import Sessions
from tests.approvals import Factory, copy_factory, make_factory
from tests.factory_assets.web.door.conftest import FrontDoor

STRANGER = "stranger"

EVERYBODY, PEOPLE, APPROVERS = {STRANGER, *ROLES}, {*ROLES}, {"approver"}

_CANDIDATE = "/approvals/{pipeline}/{version:number}"

_VERSION_FILES = ("evidence.zip", "dossier.pdf", "dossier.html", "dossier.json")

RULES: dict[str, set[str]] = {
    "GET /login": EVERYBODY,
    "POST /login": EVERYBODY,
    "GET /login/passkey": EVERYBODY,
    "POST /login/passkey": EVERYBODY,
    "POST /login/passkey/options": EVERYBODY,
    "GET /style.css": EVERYBODY,
    "GET /passkey.js": EVERYBODY,
    "GET /healthz": EVERYBODY,
    "GET /favicon.ico": EVERYBODY,
    "GET /logout": PEOPLE,
    "POST /logout": PEOPLE,
    "GET /": PEOPLE,
    "GET /me": PEOPLE,
    "GET /me/passkeys": PEOPLE,
    "POST /me/passkeys": PEOPLE,
    "POST /me/passkeys/options": PEOPLE,
    "GET /me/passkeys/remove": PEOPLE,
    "POST /me/passkeys/remove": PEOPLE,
    f"GET {_CANDIDATE}": PEOPLE,
    f"POST {_CANDIDATE}": APPROVERS,
    f"GET {_CANDIDATE}/passkey": PEOPLE,
    f"POST {_CANDIDATE}/passkey": APPROVERS,
    f"POST {_CANDIDATE}/passkey/options": APPROVERS,
    "GET /audit": PEOPLE,
    "GET /audit/search": PEOPLE,
    "GET /audit/ai-act/{name}": PEOPLE,
    "GET /audit/verify": PEOPLE,
    "POST /audit/verify": PEOPLE,
    "GET /audit/verify/result.json": PEOPLE,
    "GET /audit/verify/checkpoint": PEOPLE,
    "GET /audit/checkpoint": PEOPLE,
    "GET /audit/entries/{number:number}": PEOPLE,
    "GET /audit/entries/{number:number}.json": PEOPLE,
    "GET /audit/entries/{number:number}.tlog-proof": PEOPLE,
    "GET /audit/answers/{id}": PEOPLE,
    "GET /audit/answers/{id}/proof.json": PEOPLE,
    "GET /audit/files/{digest}": PEOPLE,
    **{
        f"GET {about}{rest}": PEOPLE
        for about in ("/audit/{pipeline}", "/audit/-/{pipeline}")
        for rest in (
            "",
            "/diff",
            "/{version:number}",
            *(f"/{{version:number}}/{file}" for file in _VERSION_FILES),
        )
    },
}
"""Who may ask for which route. Of what a page shows, and of what a form changes, its own tests
tell more."""

_VALUES = {
    "{pipeline}": "apples",
    "{version:number}": "1",
    "{number:number}": "3",
    "{name}": "apples@1",
    "{id}": "unknown",
    "{digest}": "0" * 64,
}


class Walk:
    """A door with the factory's own applications behind it, and three people of one role each."""

    def __init__(self, door: FrontDoor) -> None:
        self.door, self._sessions = door, Sessions(door.home)
        self._behind = pages(door.home, door.log, "factory_3000")
        self._audit = auditor_app(door.home, door.log, "factory_3000")
        door.app._app._apps = Applications({"/audit": self._audit}, self._behind)  # type: ignore[attr-defined]

    def routes(self) -> list[Route]:
        """Return every route that the applications have."""
        door = self.door.app._app
        apps = (door._open, door._out, self._behind, self._audit)  # type: ignore[attr-defined]
        found: list[BaseRoute] = [route for app in apps for route in app.routes]
        return [route for route in found if isinstance(route, Route)]

    def ask(self, who: str, method: str, path: str, *, with_token: bool = True) -> int:
        """Return the status of a request in a session of its own."""
        # By a name, at which passkeys count.
        browser = TestClient(self.door.app, "http://localhost:3000", follow_redirects=False)
        fields = {}
        if who != STRANGER:
            text, _ = self._sessions.begin(who, "password")
            browser.cookies.set("factory_3000", text)
            fields = {"form_token": form_token(text)} if with_token else {}
        for name, value in _VALUES.items():
            path = path.replace(name, value)
        headers = {"origin": "http://localhost:3000"}
        return browser.request(method, path, data=fields, headers=headers).status_code


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """A factory in which version 1 waits for an approver."""
    return make_factory(tmp_path_factory.mktemp("made") / "root")


@pytest.fixture
def walk(made: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Walk]:
    factory = copy_factory(made, tmp_path / "factory", monkeypatch)
    people = "".join(f"{role}:\n  roles: [{role}]\n" for role in ROLES)
    (factory.defs / "people.yaml").write_text(people)
    door = FrontDoor(factory.home)
    yield Walk(door)
    door.disk_thread.shutdown()
    door.passwords.shutdown()


def test_every_route_has_a_rule_and_lets_nobody_else_in(
    walk: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {
        f"{method} {route.path}"
        for route in walk.routes()
        for method in (route.methods or {"GET"}) - {"HEAD"}
    }
    assert asked == set(RULES), "say in RULES who may ask for each route"
    # Neither is about roles, and each takes seconds.
    monkeypatch.setattr("factory_assets.web.auditor.app.Verifications.begin", lambda _: None)
    monkeypatch.setattr("factory_assets.web.auditor.app.VersionFileMaker.make", _missing)
    for rule, allowed in RULES.items():
        method, path = rule.split()
        for who in (STRANGER, *ROLES):
            status = walk.ask(who, method, path)
            if who in allowed:
                # A form of the login without a name or a passkey lets nobody in.
                assert path.startswith("/login") or status not in (401, 403), (rule, who)
                assert status not in (405, 500), (rule, who)
            else:
                assert status == (401 if who == STRANGER else 403), (rule, who)


def test_no_form_counts_that_another_page_sent(walk: Walk) -> None:
    forms = [rule.split()[1] for rule in RULES if rule.startswith("POST ")]
    for path in forms:
        if not path.startswith("/login"):
            assert walk.ask("approver", "POST", path, with_token=False) == 403, path


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_no_route_answers_another_method(walk: Walk, method: str) -> None:
    for path in {route.path for route in walk.routes()}:
        assert walk.ask("engineer", method, path) == 405, path


def _missing(*_: object) -> None:
    from factory_resources.errors import UnknownNameError

    raise UnknownNameError("it is not made here", remedy="see its own tests")
