"""The databases of a home: made complete, made anew if they were not, and never lost if in use."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from factory_resources.errors import StorageError
from factory_resources.home.home import PROJECT, Home
from factory_resources.home.sqlite_files import dagster_files, mlflow_file
from factory_resources.instance import prepare
from factory_resources.tracking.registry import Registry
from tests.commands import command
from tests.engines import ON_POSTGRES
from tests.loopback import needs_root
from tests.ordinary_user import USER

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home that another process has made, so that this one has no database open."""
    home = Home(tmp_path_factory.mktemp("made") / "home")
    done = command(home.path)("env")
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture
def copy(made: Home, home: Home) -> Home:
    shutil.copytree(made.path, home.path)
    return home


@pytest.fixture
def half(copy: Home) -> Home:
    """A home from before the end of its first start."""
    (copy.path / "prepared.json").unlink()
    return copy


@pytest.fixture(autouse=True)
def _variables(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore afterwards what `prepare` sets."""
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))


def _revision(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        [(revision,)] = connection.execute("SELECT version_num FROM alembic_version")
    return str(revision)


def _one_step_behind(path: Path) -> None:
    """Leave what a kill leaves between the change of a table and its note."""
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '181f10493468'")
        connection.execute("DROP TABLE logged_models")


def _without_note(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE alembic_version")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("leave", [_one_step_behind, _without_note, _empty])
def test_a_half_made_database_of_mlflow_is_made_anew(
    half: Home, made: Home, leave: Callable[[Path], None]
) -> None:
    leave(half.mlflow_database)
    prepare(half)
    assert _revision(half.mlflow_database) == _revision(made.mlflow_database)
    assert Registry(half).client.search_experiments()[0].name == "Default"


@pytest.mark.parametrize("leave", [_without_note, _empty])
def test_half_made_databases_of_dagster_are_made_anew(
    half: Home, made: Home, leave: Callable[[Path], None]
) -> None:
    for file in dagster_files(half):
        leave(file.path)
    prepare(half)
    for file, whole in zip(dagster_files(half), dagster_files(made), strict=True):
        assert _revision(file.path) == _revision(whole.path)
    assert [file.damage() for file in dagster_files(half)] == [None] * 3


def test_a_database_in_use_is_never_made_anew(half: Home) -> None:
    Registry(half).client.create_registered_model("apples")
    prepare(half)
    [model] = Registry(half).client.search_registered_models()
    assert model.name == "apples"


def test_a_missing_database_is_made_and_the_others_stay(copy: Home) -> None:
    prepare(copy)
    Registry(copy).client.create_registered_model("apples")
    dagster_files(copy)[1].path.unlink()
    prepare(copy)
    assert [file.damage() for file in (*dagster_files(copy), mlflow_file(copy))] == [None] * 4
    assert len(Registry(copy).client.search_registered_models()) == 1


def test_a_damaged_database_is_told_at_the_start(half: Home) -> None:
    half.mlflow_database.write_bytes(b"no database" * 1000)
    with pytest.raises(StorageError, match=r"MLflow's database is damaged.*restore it"):
        prepare(half)


_DIE = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from factory_resources.home.home import PROJECT, Home
from factory_resources.instance import prepare

left = int(sys.argv[1])

@event.listens_for(Engine, "after_cursor_execute")
def count(*_):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

prepare(Home.from_env())
"""


@pytest.mark.parametrize(
    "statements", [300, *(pytest.param(n, marks=pytest.mark.long) for n in (10, 100, 500, 800))]
)
@ON_POSTGRES
@pytest.mark.long
def test_a_first_start_that_is_killed_on_postgres_is_completed_by_the_next(
    home: Home, engine: str, statements: int
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", _DIE, str(statements)], check=False, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (home.path / "prepared.json").exists()
    prepare(home)
    assert Registry(home).client.search_experiments()[0].name == "Default"
    with dg.DagsterInstance.get() as instance:
        assert instance.get_runs() == []


@pytest.mark.parametrize("content", [b"[]", b"\xff"])
def test_a_damaged_note_of_the_preparation_is_written_again(
    copy: Home, made: Home, content: bytes
) -> None:
    marker = copy.path / "prepared.json"
    marker.write_bytes(content)
    prepare(copy)
    note = json.loads(marker.read_bytes())
    assert note.pop("home") == str(copy.path)
    expected = json.loads((made.path / "prepared.json").read_bytes())
    assert note == {name: value for name, value in expected.items() if name != "home"}


_MEANWHILE = """
import importlib.abc, sys, threading
import sqlalchemy as sa
from factory_resources.dagster_databases import import_orm

if sys.argv[1] == "before":
    import_orm()
reached, leave = threading.Event(), threading.Event()

class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "sqlalchemy.orm.interfaces":
            reached.set()
            leave.wait(30)

sys.meta_path.insert(0, Slow())
thread = threading.Thread(target=lambda: (import_orm(), reached.set()))
thread.start()
reached.wait(30)
try:
    print(sa.select(sa.column("x")).group_by("x"))
except AttributeError as error:
    print(error)
leave.set()
thread.join()
"""


@pytest.mark.parametrize(
    ("when", "said"), [("before", "GROUP BY x"), ("later", "partially initialized module")]
)
def test_statements_succeed_while_a_thread_imports_what_mlflow_needs(when: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MEANWHILE, when],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said in done.stdout


@pytest.mark.parametrize("name", ["a%20b", "a?b", "a\nb", "a\tb", "a\\b"])
def test_a_path_that_databases_or_tables_cannot_have_is_refused(name: str, tmp_path: Path) -> None:
    home = Home(tmp_path / name)
    with pytest.raises(StorageError, match=r"the path contains '(\?|%20|\\[nt\\])'.*FACTORY_HOME"):
        prepare(home)
    assert not home.path.exists()


@needs_root
def test_root_does_not_write_into_the_home_of_another_user(copy: Home) -> None:
    os.chown(copy.path / "prepared.json", *USER)
    with pytest.raises(
        StorageError, match=r"belongs to the user nobody, .*: sudo -u 'nobody' factory"
    ):
        prepare(copy)
    os.chown(copy.path / "prepared.json", 0, 0)
    prepare(copy)


@needs_root
def test_root_does_not_begin_a_home_in_the_folder_of_another_user(tmp_path: Path) -> None:
    """They may have made it at a place where all may write, and could replace all that it has."""
    home = Home(tmp_path / "home")
    home.path.mkdir(mode=0o700)
    os.chown(home.path, *USER)
    with pytest.raises(StorageError, match="belongs to the user nobody"):
        prepare(home)
    assert [path.name for path in home.path.iterdir()] == ["tmp"]
