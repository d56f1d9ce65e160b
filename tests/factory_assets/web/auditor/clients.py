"""A client of the auditor's pages that is a person with roles."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from starlette.testclient import TestClient

from factory_assets.spec.people import Role
from factory_assets.web.access_log import AccessLog
from factory_assets.web.auditor.app import auditor_app
from factory_assets.web.door.login import form_token
from factory_assets.web.visitor import Visitor, set_visitor
from factory_resources.home.home import Home

_COOKIE, _SECRET = "factory_3000", "only the browser has it"

TOKEN = form_token(_SECRET)
"""What the forms of these clients have."""


def app_of(home: Home) -> Any:
    """Return the application."""
    return auditor_app(home, AccessLog(home), _COOKIE)


def as_visitor(app: Any, name: str, roles: Collection[Role]) -> Any:
    """Return the application as the door lets a person ask it."""
    visitor = Visitor(name, frozenset(roles), "5e" * 32)

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            set_visitor(scope, visitor)
        await app(scope, receive, send)

    return behind


def client_of(app: Any, name: str, roles: Collection[Role]) -> TestClient:
    """Return the client; it does not follow redirections."""
    behind, address = as_visitor(app, name, roles), "http://127.0.0.1:3000"
    return TestClient(behind, address, cookies={_COOKIE: _SECRET}, follow_redirects=False)
