"""A factory that is up, answers and works is stopped, moves, and goes on where its databases are.

What a migration carries over is tested in `test_migrate`.
"""

import getpass
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Literal

import psycopg2
import pytest

from factory_resources.home.database import DATABASE_VARIABLE, MIGRATION_SCHEMA, recorded_engine
from factory_resources.home.home import PROJECT, Home
from factory_resources.prediction_log.ids import parse, request_of
from factory_resources.prediction_log.prediction_log import PredictionLog
from tests.approvals import Factory, copy_factory
from tests.e2e.test_front_door import LAUNCH, PARAMS
from tests.e2e.test_partitions import Up
from tests.e2e.test_retry import end_of, keeper
from tests.ledger import problems
from tests.postgres import Postgres
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

_ROWS = b'[{"size": 3.5, "colour": "red"}]'
_PAUSE = 0.05
"""Seconds between two requests of a client."""
_MOMENTS: tuple[float | Literal["before", "never"], ...] = ("before", 0, 0.07, 0.14, 0.21, "never")
"""When a migration is killed: before it stops the factory, or a share of the time that a migration
takes after that."""


@pytest.fixture
def made(trained: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    monkeypatch.setenv(DATABASE_VARIABLE, "")
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    made = copy_factory(trained, tmp_path / "factory", monkeypatch)
    # The link of `factory up` lets this one in.
    made.people(owner={"roles": ["engineer"], "account": getpass.getuser()})
    return made


@pytest.fixture
def url(postgres: Postgres) -> str:
    return _empty(postgres, "goes")


def _empty(postgres: Postgres, name: str) -> str:
    """Create an empty database and return its address."""
    postgres.execute(f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}")
    return f"postgresql://postgres@/{name}?host={postgres.socket}"


class Client(threading.Thread):
    """Asks a prediction server as long as it answers."""

    def __init__(self, up: Up) -> None:
        super().__init__()
        self._port = up.running.ports[1]
        self.answers: list[str] = []
        """The ids of the answers that arrived."""

    def run(self) -> None:
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            try:
                while True:
                    connection.request("POST", "/predict/apples", _ROWS)
                    reply = connection.getresponse()
                    content = json.loads(reply.read())
                    if reply.status != 200:
                        return
                    self.answers += [answer["id"] for answer in content["predictions"]]
                    time.sleep(_PAUSE)
            except (OSError, HTTPException):
                return


@contextmanager
def _up(made: Factory) -> Iterator[tuple[Up, Client]]:
    """A factory that is up and answers a client; what is left of it is stopped at the end."""
    up = Up(made.home.path, made.defs)
    client = Client(up)
    client.start()
    try:
        yield up, client
    finally:
        up.client.close()
        if up.running.process.poll() is None:
            up.running.stop()
        client.join()


def _work(up: Up) -> str:
    """Launch a run and return its id when its process exists."""
    launched = up.ask(LAUNCH, params=PARAMS)["launchPipelineExecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run: str = launched["run"]["runId"]
    keeper(up, run)
    return run


def _migrating(target: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "factory_assets.cli", "migrate", "--to", target, "--stop"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _migrate(target: str) -> str:
    process = _migrating(target)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    return said


def _is_begun(url: str) -> bool:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regnamespace(%s) IS NOT NULL", [MIGRATION_SCHEMA])
        [(begun,)] = cursor.fetchall()
        return bool(begun)


def _require_logged(home: Home, answers: Sequence[str]) -> None:
    """Check that every answer that arrived is in the log, wherever that is."""
    assert answers
    with PredictionLog(home) as log:
        log.collect()
        requests = {request_of(parse(answer))[0] for answer in answers}
        assert log.facts(requests).keys() == requests


@pytest.mark.long
def test_a_factory_that_is_up_is_stopped_moves_there_and_back_and_loses_no_answer(
    made: Factory, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = made.home
    # The run waits for the lock of its stage.
    with home.lock("apples.ingest"):
        with _up(made) as (up, client):
            run = _work(up)
            migrating = _migrating(url)
            wait_until(lambda: _is_begun(url))
            migrating.kill()
            migrating.communicate()
            assert up.running.process.wait(timeout=60) == 0
        answers = client.answers
        assert recorded_engine(home) == "sqlite"
        assert problems(home) == []
        assert "start it again" not in _migrate(url)
    monkeypatch.setenv(DATABASE_VARIABLE, url)
    with _up(made) as (up, client):
        [first, retry] = end_of(up, run)
        assert first == run
        said = _migrate("sqlite")
        assert up.running.process.wait(timeout=60) == 0
        front, predictions = up.running.ports
    again = f"factory up --port {front} --predict-port {predictions}\n"
    assert said.startswith(f"stopped: {again}")
    assert said.endswith(f"then start it again: {again}")
    monkeypatch.setenv(DATABASE_VARIABLE, "")
    [before] = home.path.glob("replaced-*/dagster/history")
    assert [(retry in _runs(history)) for history in (before, home.dagster / "history")] == [
        False,
        True,
    ]
    _require_logged(home, [*answers, *client.answers])
    assert problems(home) == []


def _runs(history: Path) -> list[str]:
    with closing(sqlite3.connect(history / "runs.db")) as connection:
        return [run for (run,) in connection.execute("SELECT run_id FROM runs")]


@pytest.mark.long
def test_a_factory_that_is_up_loses_nothing_if_its_migration_is_killed_there_and_back(
    made: Factory, url: str, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    lasts = _seconds(_empty(postgres, "before"), monkeypatch)
    run, answers = "", list[str]()
    for address, target in (("", url), (url, "sqlite")):
        monkeypatch.setenv(DATABASE_VARIABLE, address)
        source = recorded_engine(made.home)
        for moment in _MOMENTS:
            if recorded_engine(made.home) != source:
                # The last kill came when all was done.
                break
            _require_whole(made, answers)
            with _up(made) as (up, client):
                _require_retried(up, run)
                # The run waits for the lock, and so is at work when it is stopped.
                with made.home.lock("apples.ingest"):
                    run = _work(up)
                    if moment == "never":
                        _migrate(target)
                    elif moment == "before":
                        _kill(_migrating(target), up, None)
                    else:
                        _kill(_migrating(target), up, moment * lasts)
            answers += client.answers
    monkeypatch.setenv(DATABASE_VARIABLE, "")
    _require_whole(made, answers)
    with _up(made) as (up, _):
        _require_retried(up, run)


def _seconds(url: str, patch: pytest.MonkeyPatch) -> float:
    """Return how long a migration takes on this machine, there and back."""
    started = time.monotonic()
    _migrate(url)
    patch.setenv(DATABASE_VARIABLE, url)
    _migrate("sqlite")
    patch.setenv(DATABASE_VARIABLE, "")
    return (time.monotonic() - started) / 2


def _kill(migrating: "subprocess.Popen[str]", up: Up, after: float | None) -> None:
    """Kill a migration of a running factory, which then ends.

    Args:
        after: seconds since the factory has ended; None for before that.
    """
    if after is None:
        time.sleep(0.5)
    else:
        wait_until(lambda: up.running.process.poll() is not None or migrating.poll() is not None)
        time.sleep(after)
    migrating.kill()
    said, _ = migrating.communicate()
    # On a machine that has become faster, it may be done already.
    assert migrating.returncode in (-signal.SIGKILL, 0), said
    if after is None:
        # It goes on.
        up.running.stop()
    assert up.running.process.wait(timeout=60) == 0


def _require_retried(up: Up, run: str) -> None:
    """Check that a run that was stopped, if there is one, is retried once and succeeds."""
    if run:
        assert len(end_of(up, run)) == 2


def _require_whole(made: Factory, answers: Sequence[str]) -> None:
    """Check that the ledger is whole, and has all answers, where the environment says."""
    if answers:
        _require_logged(made.home, answers)
    verified = made.start("verify")
    said, _ = verified.communicate(timeout=120)
    assert verified.returncode == 0, said
