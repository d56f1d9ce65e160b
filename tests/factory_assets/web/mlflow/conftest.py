"""MLflow's real application behind the list, with one registered version in a real home."""

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from factory_assets.spec.people import Role
from factory_assets.web.access_log import AccessLog
from factory_assets.web.mlflow.app import MlflowApp, mlflow_app
from factory_assets.web.visitor import Visitor, set_visitor
from factory_resources.home.home import Home
from factory_resources.ledger.access_entries import AccessRefused, ActionTaken
from factory_resources.ledger.ledger import Ledger
from factory_resources.tracking.registry import Registry
from factory_resources.tracking.run import Signature, open_run
from tests.serving import Reply

PREFIX = "/mlflow"
SESSION = "a" * 64
V2 = f"{PREFIX}/ajax-api/2.0/mlflow"


@dataclass(frozen=True)
class MlflowSite:
    """MLflow's UI of a home in which the pipeline `m` has one run and one version."""

    home: Home
    app: MlflowApp
    log: AccessLog
    run_id: str
    experiment_id: str
    model_id: str

    @property
    def files(self) -> Path:
        return Registry(self.home).run_files("m", self.run_id)

    def ask(
        self,
        method: str,
        path: str,
        *,
        role: Role = "engineer",
        query: str = "",
        body: object = b"",
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Ask as a server does: with a decoded path, and nothing made tidy on the way."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"host": "127.0.0.1", "content-type": "application/json", **(headers or {})}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("utf-8", "replace"),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(k.encode(), v.encode()) for k, v in given.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        set_visitor(scope, Visitor("ann", frozenset({role}), SESSION))
        return asyncio.run(_answer(self.app, scope, sent))

    def refusals(self) -> int:
        """Return how many requests were refused so far."""
        self.log.flush()
        return sum(entry.count for entry in _entries(self.home, AccessRefused))

    def actions(self) -> list[ActionTaken]:
        return _entries(self.home, ActionTaken)


def _entries(home: Home, kind: Any) -> list[Any]:
    """Return all entries of a kind, oldest first."""
    subject = kind.subject_of(session=SESSION) if kind is ActionTaken else kind.subject_of()
    with Ledger(home).reading() as log:
        bodies = [log.body(number) for number in sorted(log.numbers(subject))]
    return [kind.model_validate_json(body) for body in bodies]


async def _answer(app: MlflowApp, scope: dict[str, Any], body: bytes) -> Reply:
    waiting = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Any] = []

    async def receive() -> Any:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    headers = {k.decode().lower(): v.decode() for k, v in sent[0]["headers"]}
    return Reply(
        sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:])
    )


@pytest.fixture(scope="session")
def _served(tmp_path_factory: pytest.TempPathFactory) -> tuple[MlflowSite, dict[str, str]]:
    """The factory, and the environment of its application.

    One for the whole process: MLflow reads its settings once, so that a second one would show the
    runs of the first. Meanwhile tests of other packages run, which have another environment.
    """
    folder = tmp_path_factory.mktemp("mlflow")
    home = Home(folder / "home")
    registry = Registry(home)
    (folder / "model").mkdir()
    (folder / "model" / "weights").write_bytes(b"numbers")
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "page.html").write_text("<script>alert(1)</script>")
    (folder / "evaluation" / "curve.png").write_bytes(b"\x89PNG" * 300_000)
    with open_run(registry, "m", "test", {"factory.process": "1"}, started=1_000) as run:
        signature = Signature({"a": "float"}, "prediction", None)
        run.register(folder / "model", signature, {"a": 1.0}, {"factory.onnx_sha256": "0"})
        registry.add_files(run.run_id, folder / "evaluation", "evaluation")
    Ledger(home).begin()
    log = AccessLog(home)
    before = dict(os.environ)
    app = mlflow_app(home, PREFIX, log)
    settings = {name: value for name, value in os.environ.items() if before.get(name) != value}
    os.environ.clear()
    os.environ.update(before)
    assert isinstance(app, MlflowApp)
    model_id = registry.version("m", 1).files.parent.name
    return MlflowSite(home, app, log, run.run_id, run.experiment_id, model_id), settings


@pytest.fixture(scope="session")
def factory(_served: tuple[MlflowSite, dict[str, str]]) -> MlflowSite:
    return _served[0]


@pytest.fixture(autouse=True)
def _settings(_served: tuple[MlflowSite, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _served[1].items():
        monkeypatch.setenv(name, value)
