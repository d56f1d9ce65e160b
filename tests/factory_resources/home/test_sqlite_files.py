"""A database is moved in complete; a former one and its journal do not touch it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from factory_resources.home.database import query_sqlite
from factory_resources.home.home import Home
from factory_resources.home.sqlite_files import (
    SqliteFile,
    event_logs_open,
    mlflow_file,
    run_logs,
    search_file,
)
from tests.disks import closed_disk

SCRIPT = "CREATE TABLE a (x); CREATE TABLE b (x);"


def _file(path: Path) -> SqliteFile:
    return SqliteFile(path, "it", ("a", "b"), "remove it")


def _make(path: Path, script: str = SCRIPT) -> Path:
    with sqlite3.connect(path) as connection:
        connection.executescript(script)
    connection.close()
    return path


@pytest.mark.parametrize(
    ("script", "unused"),
    [
        ("", True),
        ("CREATE TABLE other (x); INSERT INTO other VALUES (1);", True),
        (SCRIPT, True),
        ("CREATE TABLE b (x); INSERT INTO b VALUES (1);", False),
    ],
)
def test_a_database_is_unused_until_a_run_fills_a_table(
    tmp_path: Path, script: str, unused: bool
) -> None:
    assert _file(_make(tmp_path / "a.db", script)).is_unused() == unused


def test_a_database_on_a_disk_that_cannot_be_written_is_read_and_not_damaged(
    tmp_path: Path,
) -> None:
    path = _make(tmp_path / "a.db", f"PRAGMA journal_mode=WAL; {SCRIPT} INSERT INTO a VALUES (7);")
    with closed_disk(tmp_path):
        assert query_sqlite(path, "SELECT x FROM a", {}) == [(7,)]
        assert _file(path).damage() is None


def test_damage_is_found_and_described(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    assert _file(path).damage() is None
    assert _file(_make(path)).damage() is None
    _make(path, "DROP TABLE b")
    assert _file(path).damage() == "no table b"
    whole = _make(tmp_path / "large.db", SCRIPT + "INSERT INTO a VALUES (zeroblob(100000));")
    whole.write_bytes(whole.read_bytes()[:20_000])
    assert "malformed" in str(_file(whole).damage())
    path.write_bytes(b"no database at all" * 100)
    assert _file(path).damage() == "file is not a database"


def test_the_journal_of_a_former_database_does_not_touch_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "home" / "a.db"
    path.parent.mkdir()
    former = sqlite3.connect(path)
    former.execute("PRAGMA journal_mode=WAL")
    former.execute("CREATE TABLE former (x)")
    made = _make(tmp_path / "made.db", "PRAGMA journal_mode=WAL;" + SCRIPT)
    _file(path).install(made)
    assert [p.name for p in path.parent.iterdir()] == ["a.db"]
    assert _file(path).damage() is None
    former.close()
    assert _file(path).damage() is None


def test_every_database_says_what_to_do(home: Home) -> None:
    (home.dagster / "history" / "runs").mkdir(parents=True)
    _make(home.dagster / "history" / "runs" / "1a2b.db", "CREATE TABLE event_logs (x)")
    [log] = run_logs(home)
    assert log.path.name == "1a2b.db"
    for file in (mlflow_file(home), search_file(home), log):
        assert "remove it" in file.remedy or "move it away" in file.remedy


def test_the_journals_of_events_stay_while_a_run_stores_many(home: Home) -> None:
    folder = home.dagster / "history" / "runs"
    folder.mkdir(parents=True)
    paths = [_make(folder / name) for name in ("index.db", "r1.db")]
    for path in paths:
        _store(path, "PRAGMA journal_mode=WAL")
    with event_logs_open(home, "r1"):
        for path in paths:
            _store(path, "INSERT INTO a VALUES (1)")
            assert path.with_name(f"{path.name}-wal").stat().st_size
    assert not [*folder.glob("*-wal")]
    with event_logs_open(home, "stored elsewhere"):
        assert not (folder / "stored elsewhere.db").exists()


def _store(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
