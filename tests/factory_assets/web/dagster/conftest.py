"""Dagster's UI as the front door runs it, on a real home with a small pipeline."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from starlette.testclient import TestClient

from factory_assets.spec.people import Role
from factory_assets.web.access_log import AccessLog
from factory_assets.web.dagster.app import dagster_app
from factory_assets.web.visitor import Visitor, set_visitor
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.ledger.access_entries import AccessRefused, ActionTaken
from factory_resources.ledger.ledger import Ledger
from factory_resources.security.request_guard import App, Message, Receive, Send
from tests.ledger import ledger_entries
from tests.pipelines import APPLES, declare, enter, write_apples

ROLE = "x-role"
"""The header by which a test says who asks."""


class Site(NamedTuple):
    """The application and its home."""

    home: Home
    client: TestClient
    log: AccessLog

    def ask(self, role: Role, query: object, **variables: Any) -> Any:
        """Return the response to a GraphQL request of a person with one role."""
        body = {"query": query, "variables": variables}
        return self.client.post("/dagster/graphql", json=body, headers={ROLE: role})

    def acts(self) -> dict[int, ActionTaken]:
        """Return what the ledger says was done, by the numbers of the entries."""
        entries = enumerate(ledger_entries(self.home))
        return {number: entry for number, entry in entries if isinstance(entry, ActionTaken)}

    def refusals(self) -> int:
        """Return how many requests the ledger says were refused."""
        self.log.flush()
        entries = ledger_entries(self.home)
        return sum(entry.count for entry in entries if isinstance(entry, AccessRefused))


def _with_visitor(app: App) -> App:
    async def door(scope: Message, receive: Receive, send: Send) -> None:
        role = dict(scope.get("headers", ())).get(ROLE.encode(), b"auditor").decode()
        set_visitor(scope, Visitor(name=f"Ann {role}", roles=frozenset({role}), session="5" * 64))
        await app(scope, receive, send)

    return door


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The application on a home of its own, with the pipeline `apples`."""
    root = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        write_apples(root / "defs" / "apples")
        declare(root / "defs" / "apples", APPLES)
        home = Home.from_env()
        prepare(home)
        Ledger(home).begin()
        log = AccessLog(home)
        with dagster_app(home, _workspace(root), log) as app:
            yield Site(home, TestClient(_with_visitor(app)), log)


def _workspace(folder: Path) -> Path:
    workspace = folder / "workspace.yaml"
    workspace.write_text(
        "load_from:\n"
        "  - python_module: {module_name: factory_assets.definitions, location_name: factory}\n"
    )
    return workspace
