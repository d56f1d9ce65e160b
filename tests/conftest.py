"""Fixtures for all tests."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from factory_resources.dagster_databases import ask_less
from factory_resources.home.database import DATABASE_VARIABLE
from factory_resources.home.home import PROJECT, Home
from factory_resources.interpreter import collect_less
from factory_resources.security.offline import go_offline
from tests.engines import ENGINES, prepared_database
from tests.kept_plots import keep_plots
from tests.library_tables import copy_tables, keep_migrations
from tests.postgres import Postgres, running
from tests.quick_keys import make_keys_quickly
from tests.random_examples import ALL
from tests.shared_homes import share_homes, shared_folder
from tests.storage import S3, storing

# The same examples everywhere, so that a test run says something about the code and not about the
# draw; `make test-long` searches at random, and four times as long. There is no deadline, because
# the time of an example on a shared machine says nothing about the code.
_UNTIMED: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("same", derandomize=True, max_examples=ALL // 4, **_UNTIMED)
settings.register_profile("random", max_examples=ALL, **_UNTIMED)
settings.load_profile("same")

# Hundreds of processes of the tests import the project: they read its byte code, whatever the
# environment says, which takes a quarter less CPU at each start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Beside other processes of tests, a second thread mostly waits for the first: gradient boosting of
# small tables took twice the CPU. Tests of several threads ask for them.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# What is imported and collected stays: to look through it for garbage took 4 s of CPU in each
# process, and is slow ever after.
gc.disable()

# Homes commit to their databases thousands of times. Tests kill processes, not the power, so they
# need no disk that keeps what was committed: in memory a run takes a fifth less CPU and waits less.
_MEMORY, _ENOUGH = Path("/dev/shm"), 8 << 30


def _is_roomy(folder: Path) -> bool:
    """Return whether a folder has room for all homes of the tests, which are 4 GB at most."""
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return False
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize >= _ENOUGH and not stat.f_flag & os.ST_NOEXEC


_END_TO_END = Path(__file__).with_name("e2e")

if _is_roomy(_MEMORY):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


# The end-to-end tests mostly wait for processes that they have started. Beside each other they left
# a core without work for half of their time; beside the other files of tests they do not.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the files of the end-to-end tests evenly among the others, each in its order."""
    files = dict.fromkeys(item.path for item in items)
    waiting = [file for file in files if _END_TO_END in file.parents]
    others = [file for file in files if _END_TO_END not in file.parents]
    places = {
        file: place / len(part) for part in (waiting, others) for place, file in enumerate(part)
    }
    items.sort(key=lambda item: places[item.path])


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
    collect_less()


@pytest.fixture(scope="session", autouse=True)
def _offline() -> None:
    go_offline()


@pytest.fixture(scope="session", autouse=True)
def _shared_homes(tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.getbasetemp()
    share_homes(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)


@pytest.fixture(scope="session", autouse=True)
def _quick_keys() -> None:
    make_keys_quickly()


@pytest.fixture(autouse=True)
def _what_is_kept() -> None:
    copy_tables(shared_folder())
    if "dagster" in sys.modules:
        ask_less()
    keep_migrations()
    keep_plots(shared_folder())


@pytest.fixture(scope="session", autouse=True)
def _standard_error_stays_open() -> None:
    """Keep a run in this process from closing where pytest writes to.

    Dagster configures the logs of a run, which closes all handlers; that of absl closes its stream
    unless it is the present standard error, which click's runner replaces. Some tests import absl
    as they are collected, so that its stream is pytest's. This is once for all, since fixtures of a
    module, which may have a run, come before those of a test: a worker that began with such a one
    lost all of its tests.
    """
    from absl import logging

    logging.get_absl_handler().python_handler.stream = sys.__stderr__


@pytest.fixture(autouse=True)
def _no_closed_dagster_instance() -> None:
    """Keep Dagster from taking the instance of an earlier test for the present one.

    Where the garbage collector closes a context that was left open, Dagster sets its context
    variable back to the instance before, whose home may be gone by then: at any moment, also in
    the middle of a later test.
    """
    if "dagster" in sys.modules:
        from dagster._core.storage.defs_state import base

        @contextmanager
        def forgotten_when_closed(storage: Any) -> Iterator[None]:
            base._current_storage.set(storage)
            try:
                yield
            finally:
                base._current_storage.set(None)

        base._current_storage.set(None)
        base.set_defs_state_storage = forgotten_when_closed


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home for one test."""
    return Home(tmp_path / "home")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL server, started once."""
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def prepared_tables(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a database with the tables of Dagster and MLflow, which tests copy."""
    from factory_resources.instance import prepare

    home = tmp_path_factory.mktemp("prepared") / "home"
    with postgres.database() as address, pytest.MonkeyPatch.context() as patch:
        # Restored afterwards, since preparing sets them.
        for name in ("FACTORY_HOME", "DAGSTER_HOME"):
            patch.setenv(name, "")
        patch.setenv(DATABASE_VARIABLE, address)
        prepare(Home(home))
        patch.undo()
        yield address


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Name the engine that a test uses; of PostgreSQL the database is its own, and empty."""
    name: str = request.param
    if name == "sqlite":
        monkeypatch.delenv(DATABASE_VARIABLE, raising=False)
        yield name
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database() as address:
        monkeypatch.setenv(DATABASE_VARIABLE, address)
        yield name


@pytest.fixture(params=ENGINES)
def prepared_engine(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Name the engine as `engine` does; the tables of Dagster and MLflow are there already."""
    with prepared_database(request) as address:
        monkeypatch.setenv(DATABASE_VARIABLE, address)
        yield request.param


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """A real S3 API server on loopback, started once."""
    with storing() as server:
        yield server


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of public data sets; skips the test if it does not exist."""
    folder = Path(os.environ.get("FACTORY_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is missing (set FACTORY_DATA)")
    return folder
