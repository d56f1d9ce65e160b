"""A migration that is killed, or meets another form: the source stays, and no other home is misled.

Homes have no tables of Dagster and MLflow here; see `tests/e2e/test_migrate.py`.
"""

import importlib
import io
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from rich.console import Console

from factory_assets.cli.migrate import migrate
from factory_resources.errors import StorageError
from factory_resources.home.database import (
    DATABASE_VARIABLE,
    alchemy_address,
    chosen_database,
    is_recorded,
    recorded_engine,
)
from factory_resources.home.home import PROJECT, Home
from factory_resources.instance import prepare, record_database
from factory_resources.ledger.ledger import Ledger
from factory_resources.migration.report import check_ledger
from factory_resources.migration.to_files import to_files
from factory_resources.migration.to_server import to_server
from factory_resources.prediction_log.ids import PredictionIds
from factory_resources.prediction_log.prediction_log import PredictionLog
from tests.factory_resources.outcomes.samples import record_some
from tests.factory_resources.prediction_log.homes import fill, problems
from tests.factory_resources.released_forms import ANSWERS, LEDGER, OUTCOMES, ReleasedForm
from tests.long_run import in_long, one_in
from tests.postgres import Postgres

_DIE = """
import importlib, os, sys
from pathlib import Path
from factory_resources.home.home import Home

name, moment, home, *arguments = sys.argv[1:]
module = importlib.import_module(f"factory_resources.migration.{name}")
assert hasattr(module, moment)
setattr(module, moment, lambda *_: os.kill(os.getpid(), 9))
getattr(module, name)(Home(Path(home)), *arguments, str)
"""

_APPEND = """
import sys
from pathlib import Path
from factory_resources.home.home import Home
from factory_resources.ledger.entries import FilesRemoved
from factory_resources.ledger.ledger import Ledger

print("begins", flush=True)
Ledger(Home(Path(sys.argv[1]))).append([FilesRemoved(paths=("a",), reason="r")])
"""

_THERE = ["_carry_all", "fill_postgres", "move_counters", "check_ledger", "record_database"]
_BACK = ["fill_sqlite", "require_equal", "check_ledger", "_install", "record_database"]
_FORMS = [LEDGER, ANSWERS, OUTCOMES]
_ROWS = {LEDGER: "entry", ANSWERS: "prediction", OUTCOMES: "outcome"}


@pytest.fixture(autouse=True)
def _files(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    monkeypatch.delenv(DATABASE_VARIABLE, raising=False)
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    # Migrations write it.
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))


@pytest.fixture
def filled(home: Home) -> Home:
    """A home with a ledger, answers and outcomes."""
    Ledger(home).begin()
    with PredictionLog(home) as log:
        fill(log, PredictionIds(), [3, 30])
    record_some(home, [2, 5])
    record_database(home)
    return home


@pytest.fixture
def address(postgres: Postgres) -> str:
    """An empty database."""
    postgres.execute("DROP DATABASE IF EXISTS moved", "CREATE DATABASE moved")
    return f"postgresql://postgres@/moved?host={postgres.socket}"


def _rows(home: Home) -> dict[str, list[object]]:
    return {name: form.read(home.path, f"SELECT * FROM {name}") for form, name in _ROWS.items()}


def _killed(name: str, moment: str, *arguments: str) -> None:
    command = [sys.executable, "-c", _DIE, name, moment, *arguments]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr


def _refused(work: Callable[[], object], said: str) -> None:
    with pytest.raises(StorageError, match=said) as refused:
        work()
    assert "\n" not in str(refused.value)


@pytest.mark.slow
@pytest.mark.parametrize("moment", one_in(3, _THERE))
def test_a_killed_migration_leaves_the_source_and_is_done_by_the_next_of_its_home(
    filled: Home, address: str, tmp_path: Path, moment: str
) -> None:
    root, rows = check_ledger(filled), _rows(filled)
    _killed("to_server", moment, str(filled.path), address)
    assert recorded_engine(filled) == "sqlite"
    assert (check_ledger(filled), _rows(filled)) == (root, rows)
    other = Home(tmp_path / "other")
    said = f"the migration of the factory in {filled.path} to .* is not finished; run factory"
    with chosen_database(address):
        _refused(lambda: prepare(other), f"{DATABASE_VARIABLE}: {said}")
    _refused(lambda: to_server(other, address, str), said)
    moved = to_server(filled, address, str)
    assert (moved.ledger, moved.removed) == (root, True)
    with chosen_database(alchemy_address(address)):
        assert is_recorded(filled)
        assert _rows(filled) == rows
        assert [form.number(filled.path) for form in _FORMS] == [1, 3, 1]


@pytest.mark.slow
def test_a_migration_that_was_killed_after_its_last_step_is_finished_by_the_next(
    filled: Home, address: str
) -> None:
    rows = _rows(filled)
    _killed("to_server", "finish", str(filled.path), address)
    assert recorded_engine(filled) == "postgresql"
    other = Home(filled.path.with_name("other"))
    _refused(lambda: to_server(other, address, str), "is not finished")
    console = Console(file=io.StringIO())
    _refused(lambda: migrate(address, console), "are on PostgreSQL already")
    _refused(lambda: to_server(other, address, str), "it is not empty.*another .* createdb NAME")
    with chosen_database(alchemy_address(address)):
        assert _rows(filled) == rows


@pytest.mark.slow
@pytest.mark.parametrize("moment", one_in(3, _BACK))
def test_a_killed_migration_to_files_leaves_the_server_and_is_done_by_the_next(
    filled: Home, address: str, moment: str
) -> None:
    root, rows = check_ledger(filled), _rows(filled)
    to_server(filled, address, str)
    _killed("to_files", moment, str(filled.path), address)
    assert recorded_engine(filled) == "postgresql"
    with chosen_database(alchemy_address(address)):
        assert (check_ledger(filled), _rows(filled)) == (root, rows)
    assert to_files(filled, address, str).ledger == root
    assert recorded_engine(filled) == "sqlite"
    assert _rows(filled) == rows
    assert [form.number(filled.path) for form in _FORMS] == [1, 3, 1]
    assert problems(filled) == []


@pytest.mark.parametrize("way", ["to_server", *in_long(["to_files"])])
def test_who_appends_to_the_ledger_meanwhile_waits_and_is_then_refused(
    filled: Home, address: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = way == "to_server"
    if not there:
        to_server(filled, address, str)
    source, target = (None, address) if there else (address, None)
    appending: list[subprocess.Popen[str]] = []

    def record_later(home: Home) -> None:
        with chosen_database(source):
            process = subprocess.Popen(
                [sys.executable, "-c", _APPEND, str(home.path)],
                cwd=PROJECT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        appending.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        record_database(home)

    module = importlib.import_module(f"factory_resources.migration.{way}")
    monkeypatch.setattr(module, "record_database", record_later)
    moved = to_server(filled, address, str) if there else to_files(filled, address, str)
    [process] = appending
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the databases of this factory are" in error.splitlines()[-1], error
    for database in (source, target):
        with chosen_database(database):
            assert check_ledger(filled) == moved.ledger


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_of_another_encoding_than_utf8_is_refused_before_anything_is_made(
    filled: Home, postgres: Postgres, tmp_path: Path, encoding: str
) -> None:
    other = f"TEMPLATE template0 LOCALE 'C' ENCODING {encoding}"
    postgres.execute("DROP DATABASE IF EXISTS other", f"CREATE DATABASE other {other}")
    address = postgres.url.replace("/postgres?", "/other?")
    said = f"is {encoding}, which does not have every character; .* --encoding UTF8 .*"
    _refused(lambda: to_server(filled, address, str), f"--to: the encoding of the database {said}")
    with chosen_database(address):
        _refused(lambda: prepare(Home(tmp_path / "new")), f"{DATABASE_VARIABLE}: .* {said}")
    assert recorded_engine(filled) == "sqlite"
    found = postgres.execute(
        "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|inf|public)'", database=address
    )
    assert found == []


def test_a_database_without_a_schema_for_tables_is_refused_in_one_line(
    filled: Home, postgres: Postgres, address: str
) -> None:
    postgres.execute("DROP SCHEMA public", database=address)
    _refused(lambda: to_server(filled, address, str), "--to: it has no schema in which tables")
    with chosen_database(address):
        said = f"{DATABASE_VARIABLE}: the database has no schema in which .*: CREATE SCHEMA public"
        _refused(lambda: prepare(Home(filled.path.with_name("new"))), said)


def test_a_database_that_can_only_be_read_is_refused_in_one_line(
    filled: Home, postgres: Postgres, address: str
) -> None:
    postgres.execute("ALTER DATABASE moved SET default_transaction_read_only = on")
    said = "--to: it cannot be used .*in a read-only transaction.; check the server"
    _refused(lambda: to_server(filled, address, str), said)
    assert recorded_engine(filled) == "sqlite"


@pytest.mark.parametrize("form", _FORMS, ids=lambda form: form.schema)
def test_a_newer_form_is_refused_in_one_line_before_anything_is_made(
    filled: Home, address: str, form: ReleasedForm
) -> None:
    rows = _rows(filled)
    number = form.number(filled.path)
    form.read(filled.path, "PRAGMA user_version = 9")
    _refused(lambda: to_server(filled, address, str), "has format 9, .*; .* version that wrote it$")
    with closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname !~ '^(pg_|inform)'")
        assert cursor.fetchone() == (0,)
    form.read(filled.path, f"PRAGMA user_version = {number}")
    to_server(filled, address, str)
    with closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:
        cursor.execute(f"UPDATE {form.schema}.schema_version SET number = 9")
        connection.commit()
    _refused(lambda: to_files(filled, address, str), "has format 9, .*; .* version that wrote it$")
    assert recorded_engine(filled) == "postgresql"
    assert not [*filled.path.glob("replaced-*")]
    with chosen_database(alchemy_address(address)):
        assert _rows(filled) == rows


def test_a_text_that_postgresql_cannot_store_is_refused_in_one_line(
    filled: Home, address: str
) -> None:
    OUTCOMES.read(filled.path, "UPDATE outcome SET caller = 'a' || char(0) || 'b'")
    _refused(lambda: to_server(filled, address, str), "table outcome: a text contains the char")
    assert recorded_engine(filled) == "sqlite"
    OUTCOMES.read(filled.path, "UPDATE outcome SET caller = ''")
    assert to_server(filled, address, str).removed
