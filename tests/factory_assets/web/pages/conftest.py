"""The pages of a home without the door: a client is the visitor that it is made for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from factory_assets.spec.people import Role
from factory_assets.web.access_log import AccessLog
from factory_assets.web.door.login import form_token
from factory_assets.web.pages.pages import pages
from factory_assets.web.visitor import Visitor, set_visitor
from factory_resources.home.home import Home
from tests.approvals import Factory, copy_factory, make_factory

_COOKIE, _SECRET = "factory_3000", "only the browser has it"

TOKEN = form_token(_SECRET)
"""What the forms of these clients have."""

SESSION = "5e" * 32

Browse = Callable[..., TestClient]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    """A factory in which version 1 waits."""
    return make_factory(tmp_path_factory.mktemp("made") / "root")


@pytest.fixture
def apples(made: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    """A copy of it for one test."""
    return copy_factory(made, tmp_path / "factory", monkeypatch)


@pytest.fixture
def browse() -> Browse:
    """Return a client of the pages of a home, as a person with roles; all ask one process."""

    apps: dict[Home, Any] = {}

    def client(
        home: Home,
        name: str = "jane",
        *roles: Role,
        address: str = "http://127.0.0.1:3000",
        session: str = SESSION,
    ) -> TestClient:
        app = apps.setdefault(home, pages(home, AccessLog(home), _COOKIE))
        visitor = Visitor(name, frozenset(roles or ("approver",)), session)

        async def behind(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                set_visitor(scope, visitor)
            await app(scope, receive, send)

        return TestClient(behind, address, cookies={_COOKIE: _SECRET})

    return client
