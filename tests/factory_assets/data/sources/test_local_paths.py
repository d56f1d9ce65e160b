"""Where the files of sources are, also if their paths have keys of partitions or variables."""

import json
from pathlib import Path
from typing import Any

import pytest

from factory_assets.data.sources.local_paths import local_paths
from factory_resources.home.home import Home
from tests.pipelines import APPLES, declare


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ({"files": "DATA/{day}/{site}.csv"}, "."),
        ({"files": "DATA/all/{day:%Y/%m}/{day}-{site}-*.csv"}, "all"),
        ({"files": "DATA/*/{day}-{site}.csv"}, "."),
        ({"images": "DATA/all/{day}/{site}/*.png"}, "all"),
        ({"delta": "DATA/all/{day}/{site}"}, "all"),
        ({"database": "sqlite:DATA/all/{day}/{site}.db", "table": "t"}, "all"),
        ({"python": "m:load", "reads": ["DATA/all/{day}/{site}.csv"]}, "all"),
        ({"python": "m:load", "args": {"path": "DATA/all/{day}/{site}"}}, "all"),
    ],
    ids=str,
)
def test_the_folder_above_the_files_of_all_partitions_is_read(
    source: dict[str, Any], read: str, home: Home, tmp_path: Path
) -> None:
    (tmp_path / "data" / "all").mkdir(parents=True)
    days: dict[str, Any] = {
        "purpose": "Days",
        "partitions": {
            "day": {"every": "day", "start": "2024-01-01"},
            "site": {"values": ["a"]},
        },
        "ingest": {
            "source": json.loads(json.dumps(source).replace("DATA", str(tmp_path / "data"))),
            "contract": [{"name": "x", "type": "int64"}],
        },
    }
    assert tmp_path / "data" / read in {*local_paths(declare(tmp_path / "days", days), home)}


def test_outcomes_are_read_where_they_are(home: Home, tmp_path: Path) -> None:
    (tmp_path / "outcomes").mkdir()
    source = {"files": str(tmp_path / "outcomes" / "*.csv")}
    outcomes = {"source": source, "key": "id", "outcome": "sold"}
    pipeline = declare(tmp_path / "apples", {**APPLES, "watch": {"outcomes": outcomes}})
    assert tmp_path / "outcomes" in {*local_paths(pipeline, home)}


def test_the_root_of_all_folders_is_not_read(home: Home, tmp_path: Path) -> None:
    source = {"python": "m:load", "args": {"path": "/"}, "reads": ["/none-*.csv"]}
    ingest = {"source": source, "contract": [{"name": "x", "type": "int64"}]}
    pipeline = declare(tmp_path / "apples", {"purpose": "Apples", "ingest": ingest})
    assert [*local_paths(pipeline, home)] == []


@pytest.mark.parametrize("delta", ["${FACTORY_LAKE}/table", "../lake/table"])
def test_a_delta_table_is_read(
    delta: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lake" / "table").mkdir(parents=True)
    monkeypatch.setenv("FACTORY_LAKE", str(tmp_path / "lake"))
    ingest = {"source": {"delta": delta}}
    pipeline = declare(tmp_path / "apples", {**APPLES, "ingest": ingest})
    found = {path.resolve() for path in local_paths(pipeline, home)}
    assert tmp_path / "lake" / "table" in found
