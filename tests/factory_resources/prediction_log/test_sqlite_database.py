"""A database in the home, opened by several processes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.outcomes.store import SCHEMA
from factory_resources.prediction_log.sqlite_database import SqliteDatabase
from tests.disks import closed_disk

OPENERS = 6


def test_a_new_file_is_opened_by_several_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(OPENERS) as threads:
        for number in range(100):
            file, together = tmp_path / f"{number}.sqlite", threading.Barrier(OPENERS)

            def opened(
                _: int, file: Path = file, together: threading.Barrier = together
            ) -> list[Any]:
                together.wait()
                with closing(SqliteDatabase(file, SCHEMA)) as database:
                    return database.run("PRAGMA journal_mode")

            assert [*threads.map(opened, range(OPENERS))] == [[("wal",)]] * OPENERS


def test_a_file_on_a_disk_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with closing(SqliteDatabase(file, SCHEMA)) as database:
        tables = database.run("SELECT name FROM sqlite_master ORDER BY name")
    with closed_disk(tmp_path), closing(SqliteDatabase(file, SCHEMA)) as database:
        assert database.run("SELECT name FROM sqlite_master ORDER BY name") == tables


def test_a_file_whose_log_cannot_be_read_is_not_called_missing(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with closing(SqliteDatabase(file, SCHEMA)) as database:
        database.run("CREATE TABLE other (x)")
        log = file.with_name("a.db-wal").read_bytes()
    file.with_name("a.db-wal").write_bytes(log)
    is_told = pytest.raises(StorageError, match="its folder is not writable")
    with closed_disk(tmp_path), is_told, storage_faults(Home(tmp_path)):
        SqliteDatabase(file, SCHEMA)
