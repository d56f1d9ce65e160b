"""Every kind of source through ingest: same rows, same identity, noticed when it changes."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from factory_assets.spec import Pipeline
from factory_assets.stages.fetch import find, sources_key
from factory_assets.stages.ingest import ingest
from factory_resources.errors import SourceError
from factory_resources.home import Home
from tests.factory_assets.stages.data_stages import pipeline, rows
from tests.postgres import Postgres

PLAIN = [{"name": "id", "type": "int64"}, {"name": "y", "type": "float64", "range": [0, None]}]


def made(folder: Path, source: dict[str, Any], **ingest_: Any) -> Pipeline:
    return pipeline(folder, ingest={"source": source, "contract": PLAIN, **ingest_})


def key(declared: Pipeline, home: Home) -> str:
    with home.scratch() as scratch:
        return sources_key(find(declared, home, scratch))


def sqlite(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(";".join(statements))


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    path = tmp_path / "plant.db"
    sqlite(path, "CREATE TABLE t (id, y)", "INSERT INTO t VALUES (3, -1), (2, 0.5), (1, 7)")
    return path


def test_a_table_of_a_database(plant: Path, tmp_path: Path, home: Home) -> None:
    declared = made(tmp_path, {"database": "sqlite:plant.db", "table": "t", "key": "id"})
    result = ingest(declared, home)
    [source] = result.sources
    assert (source.name, source.rows) == ("sqlite:plant.db/t", 3)
    assert rows(result.snapshot, home) == [
        {"id": 1, "y": 7.0, "_file": source.sha256, "_row": 1},
        {"id": 2, "y": 0.5, "_file": source.sha256, "_row": 2},
    ]
    assert rows(result.quarantine, home, "id", "_row", "_rules") == [
        {"id": "3", "_row": 3, "_rules": "range:y"}
    ]


def test_a_changed_row_is_noticed_and_a_moved_one_is_not(
    plant: Path, tmp_path: Path, home: Home
) -> None:
    declared = made(tmp_path, {"database": "sqlite:plant.db", "table": "t"})
    first = key(declared, home)
    sqlite(plant, "DELETE FROM t WHERE id = 3", "INSERT INTO t VALUES (3, -1)", "VACUUM")
    assert key(declared, home) == first
    sqlite(plant, "UPDATE t SET y = -2 WHERE id = 3")
    assert key(declared, home) != first


def test_postgres_through_ingest(
    postgres: Postgres, tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANT_DB", postgres.url)
    source = {
        "database": "PLANT_DB",
        "query": "SELECT i AS id, (i / 2.0)::numeric(5, 1) AS y FROM generate_series(1, :n) i",
        "parameters": {"n": 3},
    }
    result = ingest(made(tmp_path, source), home)
    assert [row["y"] for row in rows(result.snapshot, home)] == [0.5, 1.0, 1.5]
    monkeypatch.delenv("PLANT_DB")
    with pytest.raises(SourceError, match=r"^p/ingest: secret PLANT_DB is not set; "):
        ingest(made(tmp_path, source), home)
