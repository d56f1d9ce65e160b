"""A factory moves to PostgreSQL and back: nothing is lost, and no kill does harm.

Kills at each step of a migration are in `tests/factory_resources/migration/test_to_server.py`.
"""

import getpass
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from filelock import FileLock
from rich.console import Console

from factory_assets.cli.migrate import migrate
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.tracking.studies import NumberRange, open_study
from tests.commands import FactoryCommand, forked, several
from tests.pipelines import APPLES, declare, write_apples
from tests.postgres import Postgres, running
from tests.serving import serving

pytestmark = pytest.mark.slow

_ABOUT_IDS = {"id", "event_id", "evaluation_event_storage_id", "materialization_event_storage_id"}
"""Columns of Dagster that have other values after a migration."""
_LIBRARIES = {"alembic_version", "secondary_indexes"}
_KILLS = 10


class Grown(NamedTuple):
    """A home with something in every database."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    def factory(self, url: str = "") -> FactoryCommand:
        return forked(self.home, **self._variables(url))

    def several(self, *commands: list[str], url: str = "") -> str:
        """Run commands that shall succeed, and return what they print."""
        return several(*commands, home=self.home, **self._variables(url))

    def _variables(self, url: str) -> dict[str, str]:
        return {
            "FACTORY_DEFS": str(self.root / "defs"),
            "FACTORY_DATABASE_URL": url,
        }

    def answers(self, url: str = "") -> str:
        """Return what the factory says of what it has stored."""
        # What is compared is said, and differs: files of answers are not on a server.
        assert "all holds" in self.several(["verify"], url=url)
        return self.several(["trace", "apples@1", "--json"], ["feedback", "apples"], url=url)

    def predictions(self, url: str = "") -> list[str]:
        """Return what the champion predicts for the rows from which it learned."""
        rows = self.root / "defs" / "apples" / "data.csv"
        lines = self.several(["predict", "apples", str(rows)], url=url).splitlines()
        # The last column has the id by which the answer is logged.
        return [line.rpartition(",")[0] for line in lines]

    def copy(self, folder: Path) -> "Grown":
        copy = Grown(shutil.copytree(self.root, folder))
        # The addresses of artifacts are brought up to date.
        assert copy.factory()("env").returncode == 0
        return copy


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Grown:
    grown = Grown(tmp_path_factory.mktemp("migrate") / "grown")
    folder = grown.root / "defs" / "apples"
    folder.mkdir(parents=True)
    write_apples(folder)
    declare(folder, APPLES)
    done = grown.factory()("run", "apples")
    assert done.returncode == 0, done.stdout + done.stderr
    home = Home(grown.home)
    with serving(grown.home, FACTORY_DEFS=str(folder.parent)) as predictions:
        rows = [{"size": i % 7 + i / 100, "colour": "red"} for i in range(1, 21)]
        answers = predictions.ask("/predict/apples", rows).json["predictions"]
        said = [{"id": answer["id"], "outcome": "good"} for answer in answers]
        assert predictions.ask("/feedback", said[:9]).json["recorded"] == 9
    with PredictionLog(home) as log:
        assert log.collect()
    with open_study(home, "sizes", resume=True, maximise=True, seed=1, patience=1) as study:
        [trial] = study.begin({"depth": NumberRange(1, 9, False, True)})
        trial.end("complete", 0.5, {"a": "\\ü\n"})
    return grown


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server that knows this machine's user by the socket, without a password."""
    with running() as server:
        name = getpass.getuser()
        if name != "postgres":
            server.execute(f'CREATE ROLE "{name}" LOGIN')
        settings = Path(server.socket) / "pg_hba.conf"
        settings.write_text("local all postgres trust\nlocal all all peer\n")
        # The tables of MLflow are made in hundreds of transactions.
        server.execute("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        yield server


@pytest.fixture
def url(server: Postgres, request: pytest.FixtureRequest) -> str:
    """The address of an empty database that this user owns."""
    name = "d" + sha256(request.node.nodeid.encode()).hexdigest()[:12]
    _create(server, name)
    return f"postgresql:///{name}?host={server.socket}"


def _create(server: Postgres, name: str) -> None:
    server.execute(f'CREATE DATABASE {name} OWNER "{getpass.getuser()}"')


def _name(url: str) -> str:
    return url.removeprefix("postgresql:///").partition("?")[0]


def _tables(home: Path) -> dict[str, list[str]]:
    """Return the rows of all tables of a home in SQLite, but ids of events."""
    found: dict[str, list[str]] = {}
    for file in sorted(home.glob("*.db")) + sorted((home / "dagster").rglob("*.db")):
        name = str(file.relative_to(home))
        if name == "digests.db":
            continue
        with closing(sqlite3.connect(file)) as connection:
            connection.row_factory = sqlite3.Row
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (table,) in names.fetchall():
                rows = [dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')]
                if rows and table not in _LIBRARIES:
                    dagster = name.startswith("dagster")
                    found[f"{name} {table}"] = sorted(_plain(row, dagster) for row in rows)
    return found


def _plain(row: dict[str, Any], dagster: bool) -> str:
    kept = {key: value for key, value in row.items() if not dagster or key not in _ABOUT_IDS}
    text = re.sub(r'(storage_id": )\d+', r"\1", repr(kept)) if dagster else repr(kept)
    # SQLAlchemy stores times with microseconds, and SQLite's own default has none.
    return re.sub(r"(\d\d:\d\d:\d\d)\.000000", r"\1", text)


def _files(home: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(home)): sha256(file.read_bytes()).digest()
        for file in home.rglob("*.db")
        if file.name != "digests.db"
    }


@pytest.mark.long
def test_a_factory_moves_there_and_back_without_losing_anything(
    grown: Grown, url: str, tmp_path: Path
) -> None:
    moved = grown.copy(tmp_path / "moved")
    answers = moved.answers()
    before, files = _tables(moved.home), _files(moved.home)
    assert {"predictions.db prediction", "outcomes.db outcome", "tune.db trials"} <= {*before}
    done = moved.factory()("migrate", "--to", url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"export FACTORY_DATABASE_URL='{url}'" in done.stdout
    assert _files(moved.home) == files
    assert moved.answers(url) == answers
    # Whoever starts the files again is told.
    refused = moved.factory()("verify")
    assert refused.returncode == 2
    assert "are on PostgreSQL, but FACTORY_DATABASE_URL is not set" in refused.stderr
    left = Grown(shutil.copytree(moved.root, tmp_path / "left"))
    said = moved.several(["run", "apples"], ["migrate", "--to", "sqlite"], url=url)
    assert "nothing changed since" in said, said
    after = _tables(moved.home)
    assert after.keys() == before.keys()
    for name, rows in before.items():
        assert after[name] == rows, name
    assert moved.answers() == answers
    [aside] = moved.home.glob("replaced-*")
    assert (aside / "ledger.db").is_file()
    moved.several(["run", "apples", "--stages", "split", "--no-reuse"])
    # The database on the server is still complete.
    predicted = moved.predictions()
    assert len(predicted) == 201
    assert left.predictions(url) == predicted


@pytest.mark.long
def test_a_killed_migration_leaves_the_source_and_is_done_by_the_next(
    grown: Grown, url: str, server: Postgres, tmp_path: Path
) -> None:
    moved = grown.copy(tmp_path / "moved")
    before, files = _tables(moved.home), _files(moved.home)
    started = time.monotonic()
    done = grown.copy(tmp_path / "whole").factory()("migrate", "--to", url)
    assert done.returncode == 0, done.stderr
    seconds = time.monotonic() - started
    server.execute(f"DROP DATABASE {_name(url)}")
    _create(server, _name(url))
    for kill in range(_KILLS):
        process = subprocess.Popen(
            [sys.executable, "-m", "factory_assets.cli", "migrate", "--to", url],
            env={**os.environ, "FACTORY_HOME": str(moved.home), "FACTORY_DATABASE_URL": ""},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # Most of the time goes into the start and into making tables.
        time.sleep(seconds * (0.3 + 0.65 * kill / _KILLS))
        process.send_signal(signal.SIGKILL)
        process.wait()
        recorded = json.loads((moved.home / "prepared.json").read_bytes())["database"]
        if recorded != sha256(b"sqlite").hexdigest():
            break
        assert _tables(moved.home) == before
        verified = moved.factory()("verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr
    else:
        done = moved.factory()("migrate", "--to", url)
        assert done.returncode == 0, done.stdout + done.stderr
    assert {*_files(moved.home)} == {*files}
    assert _tables(moved.home) == before
    verified = moved.factory(url)("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            "somewhere",
            "--to: this is neither the address of a PostgreSQL database nor that of a store",
        ),
        ("s3:/plant/factory", "postgresql://user@host:5432/factory or as s3://bucket/prefix"),
        ("postgresql://127.0.0.1:1/none", "the database of --to: it cannot be used"),
        ("sqlite", "the databases of this factory are files of the home already"),
    ],
)
def test_a_wrong_target_is_refused_in_one_line(grown: Grown, target: str, said: str) -> None:
    done = grown.factory()("migrate", "--to", target)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    _is_as_it_was(grown)


def test_a_database_that_is_not_empty_is_refused(grown: Grown, url: str, server: Postgres) -> None:
    import psycopg2

    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE public.mine (a int)")
        connection.commit()
    _refuses(grown, url, "it is not empty: it has the table public.mine")
    # Nothing is stopped for a migration that is not possible.
    with FileLock(grown.home / ".up.lock"):
        _refuses(grown, url, "it is not empty: it has the table public.mine", stop=True)


def test_a_factory_that_is_up_is_refused(grown: Grown, url: str) -> None:
    with FileLock(grown.home / ".up.lock"):
        _refuses(grown, url, "this factory is already running; stop it first, or .* --stop$")
    with Home(grown.home).working():
        _refuses(grown, url, "a run uses this home")
    with serving(grown.home, FACTORY_DEFS=str(grown.root / "defs")):
        _refuses(grown, url, "a prediction server is running")


def _refuses(grown: Grown, target: str, said: str, *, stop: bool = False) -> None:
    """Check that the command, in this process, refuses it in one line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACTORY_HOME", str(grown.home))
        # The command sets both.
        patch.setenv("DAGSTER_HOME", str(grown.home / "dagster"))
        patch.setenv("FACTORY_DATABASE_URL", "")
        with pytest.raises(FactoryError) as refused:
            migrate(target, Console(file=io.StringIO()), stop=stop)
    assert re.search(said, str(refused.value))
    assert "\n" not in str(refused.value)
    _is_as_it_was(grown)


def _is_as_it_was(grown: Grown) -> None:
    recorded = json.loads((grown.home / "prepared.json").read_bytes())["database"]
    assert recorded == sha256(b"sqlite").hexdigest()
