"""Sources through ingest: their rows, their identity, and a key that follows the content."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from factory_assets.data.sources.base import SourceHandle
from factory_assets.data.sources.discovery import discover_sources, sources_key
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.data import IngestResult
from factory_assets.spec import Pipeline
from factory_assets.stages.ingest import ingest
from factory_resources.errors import ContractError, SourceError
from factory_resources.home.home import Home
from factory_resources.sources.files.reader import SourceTable
from tests.data_stages import pipeline, rows
from tests.postgres import Postgres

PLAIN = [{"name": "id", "type": "int64"}, {"name": "y", "type": "float64", "range": [0, None]}]


def made(folder: Path, source: dict[str, Any], **ingest_: Any) -> Pipeline:
    return pipeline(folder, ingest={"source": source, "contract": PLAIN, **ingest_})


def key(declared: Pipeline, home: Home) -> str:
    with home.scratch() as scratch:
        return sources_key(discover_sources(declared, home, scratch))


def sqlite(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(";".join(statements))


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    path = tmp_path / "plant.db"
    sqlite(path, "CREATE TABLE t (id, y)", "INSERT INTO t VALUES (3, -1), (2, 0.5), (1, 7)")
    return path


def test_a_database_table_is_ingested_in_the_order_of_its_key(
    plant: Path, tmp_path: Path, home: Home
) -> None:
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


def test_the_key_changes_with_a_row_but_not_with_its_position(
    plant: Path, tmp_path: Path, home: Home
) -> None:
    declared = made(tmp_path, {"database": "sqlite:plant.db", "table": "t"})
    first = key(declared, home)
    sqlite(plant, "DELETE FROM t WHERE id = 3", "INSERT INTO t VALUES (3, -1)", "VACUUM")
    assert key(declared, home) == first
    sqlite(plant, "UPDATE t SET y = -2 WHERE id = 3")
    assert key(declared, home) != first


def test_the_key_changes_with_all_that_reading_would_yield() -> None:
    def never(folder: Path, **_: object) -> SourceTable:
        raise AssertionError(folder)

    one = SourceHandle("1" * 64, {"site": "a"}, never)
    two = replace(one, version="2" * 64)
    found = [
        (one, two),
        (two, one),
        (one,),
        (replace(one, labels={"site": "b"}), two),
        (replace(one, labels={}), two),
        (one, replace(two, join="prices")),
        (one, replace(two, join="owners")),
        (one, replace(two, erased={"2" * 64: (1,)})),
        (one, replace(two, erased={"2" * 64: (2,)})),
    ]
    assert len({*map(sources_key, found)}) == len(found)
    # What a file is called or how large it is, is not read.
    assert sources_key((replace(one, name="a.csv", bytes=5),)) == sources_key((one,))


def test_a_renamed_column_is_noticed(plant: Path, tmp_path: Path, home: Home) -> None:
    contract = [{"name": "id", "type": "int64"}, {"name": "y", "type": "float64"}]
    source = {"database": "sqlite:plant.db", "table": "t", "key": "id"}
    declared = made(tmp_path, source, contract=contract)

    def run(number: int) -> list[Any]:
        value = run_stage(StageRequest(declared, "ingest", home, str(number))).value
        assert isinstance(value, IngestResult)
        return rows(value.snapshot, home, "y")

    sqlite(plant, "ALTER TABLE t ADD z", "UPDATE t SET z = 10 * y")
    assert run(1) == [{"y": 7.0}, {"y": 0.5}, {"y": -1.0}]
    # Two columns change their names, and not their places.
    swapped = ("y TO w", "z TO y", "w TO z")
    sqlite(plant, *(f"ALTER TABLE t RENAME {names}" for names in swapped))
    assert run(2) == [{"y": 70.0}, {"y": 5.0}, {"y": -10.0}]
    sqlite(plant, "ALTER TABLE t RENAME y TO x")
    with pytest.raises(ContractError, match="there is no column 'y'"):
        run(3)


def test_the_key_changes_with_the_rows_that_were_erased(
    plant: Path, tmp_path: Path, home: Home
) -> None:
    declared = made(tmp_path, {"database": "sqlite:plant.db", "table": "t"})
    with home.scratch() as scratch:
        [found] = discover_sources(declared, home, scratch)
        one, other = (replace(found, erased={found.version: rows}) for rows in ((2,), (2, 3)))
        assert len({sources_key((source,)) for source in (found, one, other)}) == 3


def test_a_postgres_query_is_ingested(
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


def test_several_sources_are_read_in_the_order_of_their_names(
    plant: Path, tmp_path: Path, home: Home
) -> None:
    (tmp_path / "a.csv").write_text("id,y\n10,1\n11,2\n")
    sources: dict[str, Any] = {
        "ulm": {"files": "a.csv"},
        "berlin": {"database": "sqlite:plant.db", "table": "t"},
    }
    results, keys = [], set()
    for names in (["ulm", "berlin"], ["berlin", "ulm"]):
        part = {"sources": {n: sources[n] for n in names}, "label": "site", "contract": PLAIN}
        declared = pipeline(tmp_path, ingest=part)
        results.append(ingest(declared, home))
        keys.add(key(declared, home))
    assert results[0] == results[1]
    assert len(keys) == 1
    assert rows(results[0].snapshot, home, "id", "site", "_row") == [
        {"id": 1, "site": "berlin", "_row": 1},
        {"id": 2, "site": "berlin", "_row": 2},
        {"id": 10, "site": "ulm", "_row": 1},
        {"id": 11, "site": "ulm", "_row": 2},
    ]
    assert [source.labels for source in results[0].sources] == [{"site": "berlin"}, {"site": "ulm"}]


def test_the_order_of_labels_in_the_declaration_does_not_matter(tmp_path: Path, home: Home) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(f"id,y\n1,{ord(name)}\n")
    results = [
        ingest(made(tmp_path, {"files": files, "label": "site"}), home)
        for files in ({"x": "b.csv", "w": "a.csv"}, {"w": "a.csv", "x": "b.csv"})
    ]
    assert results[0] == results[1]
    assert [row["site"] for row in rows(results[0].snapshot, home)] == ["w", "x"]


@pytest.mark.parametrize("kind", ["files", "images"])
def test_what_two_patterns_match_is_not_ingested(kind: str, tmp_path: Path, home: Home) -> None:
    (tmp_path / "1.png").write_bytes(b"")
    with pytest.raises(SourceError, match=rf"source.{kind}: two patterns match 1.png"):
        ingest(made(tmp_path, {kind: ["1.png", "*.png"]}), home)
