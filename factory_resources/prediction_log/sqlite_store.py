"""The prediction log's database in the home, in SQLite."""

from collections.abc import Sequence
from pathlib import Path

from factory_resources.prediction_log.sqlite_database import SqliteDatabase
from factory_resources.prediction_log.store import SCHEMA, PredictionStore, StoredRow


class SqliteStore(SqliteDatabase, PredictionStore):
    """The database in a file, which is made if it is missing."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, SCHEMA)

    def insert_rows(self, rows: Sequence[StoredRow]) -> None:
        self._raw.executemany("INSERT OR IGNORE INTO prediction VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
