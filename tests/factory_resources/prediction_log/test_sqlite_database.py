"""A database in the home, opened by several processes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from factory_resources.outcomes.store import SCHEMA
from factory_resources.prediction_log.sqlite_database import SqliteDatabase

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
