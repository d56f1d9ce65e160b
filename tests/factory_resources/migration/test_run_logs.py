"""Files of events that are written as a block are like those that Dagster makes."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from factory_resources.home.database import chosen_database
from factory_resources.instance import create_dagster, create_run_log
from factory_resources.migration.catalog import StoredColumn, StoredTable
from factory_resources.migration.run_logs import RunLogs

_COLUMNS = ["id", "run_id", "event", "dagster_event_type", "step_key", "asset_key", "partition"]
_TABLE = StoredTable(
    "public", "event_logs", tuple(StoredColumn(name, "text", "text") for name in _COLUMNS)
)


def _schema(file: Path) -> tuple[str, list[str]]:
    with closing(sqlite3.connect(file)) as connection:
        [(journal,)] = connection.execute("PRAGMA journal_mode").fetchall()
        statements = connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
    return journal, [sql for (sql,) in statements]


@pytest.mark.slow
def test_the_log_of_a_run_is_one_of_dagster_with_its_rows(tmp_path: Path) -> None:
    folder = tmp_path / "dagster"
    rows = [(number, "a", "{}", None, "step", None, None) for number in range(3, 500)]
    with chosen_database(None):
        create_dagster(folder)
        logs = RunLogs(folder, _TABLE)
        logs.write("a", rows)
        logs.write("b", rows[:1])
        assert [row for batch in logs.rows() for row in batch] == [*rows, rows[0]]
        runs = folder / "history" / "runs"
        assert {path.name for path in runs.iterdir()} == {"a.db", "b.db", "index.db"}
        own = create_run_log(folder, "c")
        assert [row for batch in logs.rows() for row in batch] == [*rows, rows[0]]
    assert _schema(runs / "a.db") == _schema(own)
