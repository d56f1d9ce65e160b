"""PostgreSQL's dates and times that are infinite."""

from pathlib import Path

import duckdb
import pytest

from factory_resources.home.home import Home
from factory_resources.sources.databases.query import DatabaseQuery
from factory_resources.sources.databases.reader import read_database
from tests.postgres import Postgres


@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz"])
def test_infinite_times_stay_infinite(
    kind: str, postgres: Postgres, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE", postgres.url)
    times = ("infinity", "-infinity", "0044-03-15 BC", "2024-02-29")
    cells = ", ".join(f"'{time}'::{kind} AS t{i}" for i, time in enumerate(times))
    request = DatabaseQuery("WAREHOUSE", query=f"SELECT {cells}, NULL::{kind} AS nothing")
    table = read_database(request, tmp_path, home, tmp_path)
    [row] = duckdb.execute(
        f"SELECT CAST(COLUMNS(*) AS VARCHAR)[:10] FROM read_parquet('{table.path}')"
    ).fetchall()
    assert row == ("infinity", "-infinity", "0044-03-15", "2024-02-29", None)
