"""The registry: champion, versions and tags, and runs left running by a dead process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from factory_resources.errors import ModelError, StorageError
from factory_resources.home.database import DATABASE_VARIABLE, PREPARED
from factory_resources.home.home import PROJECT, Home
from factory_resources.home.processes import OUTSIDE_VARIABLE, POD_VARIABLE
from factory_resources.tracking.registry import Registry
from factory_resources.tracking.run import Signature, metric_name, open_run
from tests.engines import server_in_long
from tests.long_run import in_long
from tests.postgres import Postgres

pytestmark = pytest.mark.usefixtures("prepared_engine")

SIGNATURE = Signature({"a": "float", "b": "string"}, "prediction", None)


def register(registry: Registry, folder: Path) -> int:
    folder.mkdir(exist_ok=True)
    (folder / "weights").write_bytes(b"numbers")
    with open_run(registry, "m", "test", {"tag": "t"}, started=1_000) as run:
        return run.register(folder, SIGNATURE, {"a": 1.0, "b": "x"}, {"k": "v"})


def test_an_empty_home_has_no_champion_and_no_versions(home: Home) -> None:
    registry = Registry(home)
    assert registry.champion("m") is None
    assert not registry.has_version("m", 1)
    assert not home.mlflow_database.exists()
    with pytest.raises(ModelError, match="no version 1 of model 'm'; train it again"):
        registry.version("m", 1)


@pytest.mark.slow
def test_versions_are_numbered_and_have_files_tags_and_one_champion(
    home: Home, tmp_path: Path
) -> None:
    registry = Registry(home)
    assert [register(registry, tmp_path / str(i)) for i in range(2)] == [1, 2]
    assert registry.champion("m") is None
    registry.set_alias("m", 1)
    registry.set_alias("m", 2)
    assert registry.champion("m") == 2
    assert registry.has_version("m", 2)
    assert not registry.has_version("m", 3)
    version = registry.version("m", 1)
    assert (version.files / "weights").read_bytes() == b"numbers"
    assert version.tags == {"k": "v"}
    registry.tag_version("m", 1, {"more": "1"})
    assert registry.version_tags("m", 1) == {"k": "v", "more": "1"}
    assert registry.client.get_run(version.run_id).info.start_time == 1_000


@pytest.mark.slow
def test_the_files_of_a_model_are_on_the_disk_before_anything_names_them(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, sync = set[str](), os.fsync

    def note(handle: int) -> None:
        synced.add(os.readlink(f"/proc/self/fd/{handle}"))
        sync(handle)

    monkeypatch.setattr(os, "fsync", note)
    registry = Registry(home)
    version = registry.version("m", register(registry, tmp_path / "files"))
    registry.add_files(version.run_id, tmp_path / "files", "onnx")
    for folder in (version.files, registry.run_files("m", version.run_id) / "onnx"):
        assert (folder / "weights").read_bytes() == b"numbers"
        assert {str(folder), str(folder / "weights")} <= synced


@pytest.mark.slow
def test_reading_does_not_import_mlflow(home: Home, tmp_path: Path) -> None:
    registry = Registry(home)
    register(registry, tmp_path / "files")
    registry.set_alias("m", 1)
    script = (
        "import sys; from pathlib import Path; from factory_resources.home.home import Home;"
        "from factory_resources.tracking.registry import Registry;"
        "r = Registry(Home(Path(sys.argv[1])));"
        "assert r.champion('m') == 1 and r.version_tags('m', 1) == {'k': 'v'};"
        "assert r.has_version('m', 1);"
        "assert not {'mlflow', 'pandas', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, str(home.path)], cwd=PROJECT, check=True)


@pytest.mark.slow
def test_metrics_are_named_as_mlflow_takes_them(home: Home) -> None:
    taken = ("roc_auc", "coverage_Süd west", "coverage_a/b")
    others = ("coverage_<5", "coverage_>5", "coverage_a/../b", "coverage_" + "x" * 300)
    names = [metric_name(name) for name in (*taken, *others)]
    assert names[: len(taken)] == [*taken]
    registry = Registry(home)
    with open_run(registry, "m", "test", {}, started=1_000) as run:
        run.log_metrics([(0, dict.fromkeys(names, 0.5))])
    assert {one.name for one in registry.metrics(run.run_id)} == {*names}
    assert len({*names}) == len(taken) + len(others)


def test_a_run_that_raises_is_marked_as_failed(home: Home) -> None:
    registry = Registry(home)
    with pytest.raises(KeyError), open_run(registry, "m", "test", {}, started=1_000) as run:
        raise KeyError
    assert registry.client.get_run(run.run_id).info.status == "FAILED"


@server_in_long("prepared_engine")
@pytest.mark.slow
def test_runs_of_a_killed_process_are_ended(home: Home, tmp_path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from factory_resources.home.home import Home
from factory_resources.tracking.registry import Registry
from factory_resources.tracking.run import open_run
with open_run(Registry(Home(Path(sys.argv[1]))), "m", "killed", {}, started=1_000) as run:
    print(run.run_id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.Popen(
        [sys.executable, "-c", script, str(home.path)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert killed.stdout
    run_id = killed.stdout.read().split()[-1]
    # It has ended, and its parent has not asked yet.
    os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
    registry = Registry(home)
    assert registry.client.get_run(run_id).info.status == "RUNNING"
    with open_run(registry, "m", "mine", {}, started=1_000) as mine:
        # The next run does not end one that is still running.
        register(registry, tmp_path / "files")
        assert registry.client.get_run(mine.run_id).info.status == "RUNNING"
    assert registry.client.get_run(run_id).info.status == "FAILED"
    assert registry.client.get_run(mine.run_id).info.status == "FINISHED"
    assert killed.wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("variables", "mine"),
    [
        ({OUTSIDE_VARIABLE: "2 1 elsewhere"}, {OUTSIDE_VARIABLE: "3 1 elsewhere"}),
        *in_long([({POD_VARIABLE: "dagster-run-2", OUTSIDE_VARIABLE: "2 1 elsewhere"}, {})]),
    ],
    ids=["inside a boundary", "in another pod"],
)
@pytest.mark.parametrize("prepared_engine", ["postgres", *in_long(["sqlite"])], indirect=True)
def test_a_dead_run_that_is_not_seen_is_told_by_its_lock(
    variables: dict[str, str], mine: dict[str, str], home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from factory_resources.home.home import Home
from factory_resources.tracking.registry import Registry
from factory_resources.tracking.run import open_run
with open_run(Registry(Home(Path(sys.argv[1]))), "m", "other", {}, started=1_000) as run:
    print(run.run_id, flush=True)
    signal.pause()
"""
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(home.path)],
        cwd=PROJECT,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout
    run_id = other.stdout.readline().split()[-1]
    for name, value in mine.items():
        monkeypatch.setenv(name, value)
    registry = Registry(home)
    with open_run(registry, "m", "mine", {}, started=1_000):
        assert registry.client.get_run(run_id).info.status == "RUNNING"
    other.kill()
    other.communicate()
    with open_run(registry, "m", "mine", {}, started=1_000):
        assert registry.client.get_run(run_id).info.status == "FAILED"
    assert [*(home.tmp / "locks").glob("mlflow.*")] == []


def test_mlflow_has_its_own_schema_on_postgres(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster has tables with the same names."""
    monkeypatch.setenv("FACTORY_DATABASE_URL", "postgresql://me:word@host:5432/factory")
    assert Registry(home).uri == (
        "postgresql+psycopg2://me:word@host:5432/factory?options=-csearch_path%3Dmlflow"
    )
    monkeypatch.setenv("FACTORY_DATABASE_URL", "postgres://host/factory?sslmode=require")
    assert Registry(home).uri.endswith("factory?sslmode=require&options=-csearch_path%3Dmlflow")


def test_tables_that_are_gone_from_a_server_are_not_taken_for_none(
    home: Home, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres.database() as address:
        monkeypatch.setenv(DATABASE_VARIABLE, address)
        assert Registry(home).versions() == {}
        home.write_atomic(home.path / PREPARED, b'{"database": "that of the server"}')
        with pytest.raises(StorageError, match="restore the database from a backup"):
            Registry(home).versions()
