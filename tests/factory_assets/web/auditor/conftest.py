"""A home with two versions, decisions and answers, and the auditor's pages of it."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from starlette.testclient import TestClient

from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection
from factory_assets.spec.people import Role
from factory_resources.home.home import Home
from factory_resources.prediction_log import ids
from factory_resources.prediction_log.ids import PredictionIds
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.record import PredictionRecord, encode
from tests.approvals import Factory, make_factory
from tests.factory_assets.web.auditor.clients import app_of, client_of
from tests.pipelines import declare, enter
from tests.shared_homes import made_once

REASON = "<script>alert(1)</script> & \u202e better"

HOSTILE = "<script>alert(1)</script> & 'x' y.csv".replace("/", "")

OTHERS = {"name": {"commitment": "5e" * 32}, "note": None}
"""What is logged of a sensitive value, and of a missing one."""

Browse = Callable[..., TestClient]


@dataclass(frozen=True)
class Audited:
    """A factory, and the id of an answer of its first version."""

    factory: Factory
    answer: str
    explained: str
    """The id of an answer of the second one, whose influence was measured."""

    @property
    def home(self) -> Home:
        return self.factory.home


def log_answers(home: Home, version: int, many: int) -> list[str]:
    """Log answers of a version in one block, and return their ids."""
    taken, given = PredictionIds(), list[str]()
    with PredictionLog(home) as log:
        journal = log.journal()
        for number in range(many):
            identifier = taken.take()
            record = PredictionRecord(
                time=ids.time_of(identifier),
                duration=900,
                pipeline="apples",
                version=version,
                caller="<b>night</b>",
                protocol="plain",
                kind="answer",
                status=200,
                rows=1,
                input=json.dumps([{"size": (number + 1) / 10, "colour": "red", **OTHERS}]).encode(),
                output=json.dumps(
                    {"predictions": ["good"], "probabilities": [[0.25, 0.75]], "refused": []}
                ).encode(),
            )
            journal.append(identifier, encode(record))
            given.append(ids.text(identifier))
        journal.flush()
        journal.roll()
        journal.close()
        log.collect()
    return given


def make_audited(root: Path) -> Audited:
    """Make a factory in which version 1 was approved and answered, and version 2 waits."""
    factory = make_factory(root)
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        code, text = factory.factory("approve", "apples", "--reason", REASON, by="jane")
        assert code == 0, text
        answers = log_answers(factory.home, 1, 3)
        gates = [{"metric": "roc_auc", "at_least": 0.6}]
        columns = {"slices": ["colour"], "protected": ["colour"]}
        influence = {"seeds": 1, "subsets": 8, "rows": 3, "at_least": 0.0}
        factory.declare(seed=9, gates=gates, robustness={}, influence=influence, **columns)
        factory.run()
        explained = log_answers(factory.home, 2, 1)[0]
        _make_search(factory)
    return Audited(factory, answers[1], explained)


def _make_search(factory: Factory) -> None:
    """Run a pipeline that is called like a page, without a model and with a sensitive column."""
    folder = factory.defs / "search"
    folder.mkdir()
    rows = [f'{n},"secret-{n}\n of two lines",<i>n{n}</i>' for n in range(1, 60)]
    (folder / HOSTILE).write_text("\n".join(["size,name,note", *rows]) + "\n")
    contract = [
        {"name": "size", "type": "int64"},
        {"name": "who", "from": "name", "type": "string", "sensitive": "personal"},
        {"name": "note", "type": "string"},
    ]
    source = {"files": "*y.csv"}
    declare(folder, {"purpose": HOSTILE, "ingest": {"source": source, "contract": contract}})
    # Another pipeline reads the same file, and calls nothing sensitive.
    shutil.copytree(folder, factory.defs / "notes")
    contract = [contract[0], contract[2]]
    ingest = {"source": source, "contract": contract}
    declare(factory.defs / "notes", {"purpose": "Read notes", "ingest": ingest})
    for name in ("search", "notes"):
        run(RunSelection([name]), Console(file=io.StringIO()))


@pytest.fixture(scope="session")
def audited_once(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    def make(root: Path) -> None:
        audited = make_audited(root)
        (root / "answers.json").write_text(json.dumps([audited.answer, audited.explained]))

    root = tmp_path_factory.mktemp("audited") / "root"
    made_once("audited", root, make)
    return Audited(Factory(root), *json.loads((root / "answers.json").read_text()))


@pytest.fixture
def audited(audited_once: Audited, monkeypatch: pytest.MonkeyPatch) -> Audited:
    """The factory, which tests only read."""
    enter(audited_once.factory.root, monkeypatch)
    return audited_once


@pytest.fixture
def changed(audited_once: Audited, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Audited:
    """A copy of it that a test may change."""
    shutil.copytree(audited_once.factory.root, tmp_path / "root")
    enter(tmp_path / "root", monkeypatch)
    return replace(audited_once, factory=Factory(tmp_path / "root"))


@pytest.fixture
def browse() -> Browse:
    """Return a client of the auditor's pages of a home; all ask one process."""
    apps: dict[Home, Any] = {}

    def client(home: Home, *roles: Role, name: str = "tom") -> TestClient:
        return client_of(apps.setdefault(home, app_of(home)), name, roles)

    return client
