"""Delta tables of other systems: partitions, versions, later columns, and what is refused."""

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, Field, write_deltalake
from deltalake.schema import PrimitiveType

from factory_assets.stages.ingest import ingest
from factory_resources.errors import SourceError
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import Snapshot
from tests.data_stages import column, pipeline, rows
from tests.factory_assets.data.sources.test_discovery import key


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A table in three versions: two rows, two more in partitions with odd names, a new column."""
    path = tmp_path / "lake"
    days = [date(2024, 1, 1), date(2024, 1, 1)]
    first = pa.table({"y": [1, 2], "site": ["a b", "a b"], "day": days})
    write_deltalake(path, first, partition_by=["site", "day"])
    odd = pa.table({"y": [3, 4], "site": ["c/d=%é'", None], "day": [date(2024, 1, 2), None]})
    write_deltalake(path, odd, mode="append")
    new = pa.table({"y": [5], "site": ["z"], "day": [date(2024, 1, 3)], "z": [0.5]})
    write_deltalake(path, new, mode="append", schema_mode="merge")
    return path


def test_partition_columns_are_read_as_columns(lake: Path, tmp_path: Path, home: Home) -> None:
    result = ingest(pipeline(tmp_path, ingest={"source": {"delta": "lake"}}), home)
    found = sorted(
        (r["y"], r["site"], r["day"], r["z"], r["_row"]) for r in rows(result.snapshot, home)
    )
    assert found == [
        (1, "a b", date(2024, 1, 1), None, 1),
        (2, "a b", date(2024, 1, 1), None, 2),
        (3, "c/d=%é'", date(2024, 1, 2), None, 1),
        (4, None, None, None, 1),
        (5, "z", date(2024, 1, 3), 0.5, 1),
    ]
    assert len(result.sources) == 4
    assert all(source.name.startswith("lake/site=") for source in result.sources)


def test_an_earlier_version_can_be_read(lake: Path, tmp_path: Path, home: Home) -> None:
    def ys(version: int) -> list[int]:
        part = {"source": {"delta": str(lake), "version": version}}
        result = ingest(pipeline(tmp_path, ingest=part), home)
        return sorted(column(result.snapshot, home, "y"))

    assert [ys(0), ys(1), ys(2)] == [[1, 2], [1, 2, 3, 4], [1, 2, 3, 4, 5]]


def test_a_grown_table_begins_with_its_earlier_rows(tmp_path: Path, home: Home) -> None:
    for i in range(3):
        write_deltalake(tmp_path / "t", pa.table({"y": [i]}), mode="append")
    declared = pipeline(tmp_path, ingest={"source": {"delta": "t"}})
    first = key(declared, home)
    assert column(ingest(declared, home).snapshot, home, "y") == [0, 1, 2]
    shutil.copytree(tmp_path / "t", tmp_path / "u")
    assert key(pipeline(tmp_path, ingest={"source": {"delta": "u"}}), home) == first
    write_deltalake(tmp_path / "t", pa.table({"y": [3]}), mode="append")
    assert key(declared, home) != first
    assert column(ingest(declared, home).snapshot, home, "y") == [0, 1, 2, 3]
    DeltaTable(tmp_path / "t").delete("y < 2")
    assert column(ingest(declared, home).snapshot, home, "y") == [2, 3]


def test_a_table_of_which_every_row_was_deleted_has_no_rows(tmp_path: Path, home: Home) -> None:
    for name in ("full", "void"):
        write_deltalake(tmp_path / name, pa.table({"y": [1], "a": ["x"]}), partition_by=["a"])
    DeltaTable(tmp_path / "void").delete()
    _refused({"delta": "void"}, "void: has no rows", tmp_path, home)
    sources = {name: {"delta": name} for name in ("full", "void")}
    join = {"source": {"delta": "void"}, "on": "y", "columns": "a", "rename": {"a": "b"}}
    declared = {"sources": sources, "label": "of", "joins": {"more": join}}
    result = ingest(pipeline(tmp_path, ingest=declared), home)
    assert rows(result.snapshot, home, "y", "a", "of", "b") == [
        {"y": 1, "a": "x", "of": "full", "b": None}
    ]


def test_a_changed_partition_value_in_the_log_changes_the_key(tmp_path: Path, home: Home) -> None:
    write_deltalake(tmp_path / "t", pa.table({"y": [1], "p": ["a"]}), partition_by=["p"])
    declared = pipeline(tmp_path, ingest={"source": {"delta": "t"}})
    first = key(declared, home)
    log = tmp_path / "t" / "_delta_log" / f"{0:020}.json"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if "add" in line:
            line["add"]["partitionValues"]["p"] = "b"
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert key(declared, home) != first
    assert column(ingest(declared, home).snapshot, home, "p") == ["b"]


def test_a_column_that_only_the_log_adds_changes_the_key(tmp_path: Path, home: Home) -> None:
    write_deltalake(tmp_path / "t", pa.table({"y": [1]}))
    declared = pipeline(tmp_path, ingest={"source": {"delta": "t"}})
    first = key(declared, home)
    added = Field("z", PrimitiveType("double"), nullable=True)
    DeltaTable(tmp_path / "t").alter.add_columns([added])
    assert key(declared, home) != first
    assert column(ingest(declared, home).snapshot, home, "z") == [None]


def _refused(source: dict[str, Any], says: str, folder: Path, home: Home) -> None:
    with pytest.raises(SourceError, match=says) as caught:
        ingest(pipeline(folder, ingest={"source": source}), home)
    assert "\n" not in str(caught.value)


def test_missing_tables_and_unsupported_features_are_refused(
    lake: Path, tmp_path: Path, home: Home
) -> None:
    _refused(
        {"delta": "sea"}, "'sea' is not a Delta table: there is no such folder", tmp_path, home
    )
    _refused({"delta": "."}, "the folder has no Delta log", tmp_path, home)
    _refused({"delta": "lake", "version": 9}, "no version 9; the newest is 2", tmp_path, home)
    mapped = {"delta.columnMapping.mode": "name"}
    write_deltalake(tmp_path / "m", pa.table({"y": [1]}), configuration=mapped)
    _refused({"delta": "m"}, r"column mapping \(name\)", tmp_path, home)
    gone = next((tmp_path / "lake").rglob("*.parquet"))
    gone.unlink()
    vacuumed = r"lake/site=.*does not exist, although the log .* a version that was not vacuumed"
    _refused({"delta": "lake"}, vacuumed, tmp_path, home)
    (tmp_path / "lake" / "_delta_log" / f"{1:020}.json").write_text("{nonsense")
    _refused({"delta": "lake"}, "lake: the Delta log cannot be read", tmp_path, home)


def test_deletion_vectors_and_files_outside_the_table_are_refused(
    tmp_path: Path, home: Home
) -> None:
    features = {"delta.enableDeletionVectors": "true"}
    write_deltalake(tmp_path / "v", pa.table({"y": range(30)}), configuration=features)
    log = tmp_path / "v" / "_delta_log" / f"{0:020}.json"
    whole = log.read_text()
    # The example in the specification of the format: six rows are deleted.
    vector = {
        "storageType": "i",
        "pathOrInlineDv": "^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L",
        "sizeInBytes": 44,
        "cardinality": 6,
    }
    lines = [json.loads(line) for line in whole.splitlines()]
    for line in lines:
        if "add" in line:
            line["add"]["deletionVector"] = vector
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    _refused({"delta": "v"}, "deletion vectors", tmp_path, home)
    for path in ("../secret.parquet", "file:///etc/passwd", "/etc/passwd"):
        lines = [json.loads(line) for line in whole.splitlines()]
        for line in lines:
            if "add" in line:
                line["add"]["path"] = path
        log.write_text("".join(json.dumps(line) + "\n" for line in lines))
        _refused({"delta": "v"}, "outside of the table", tmp_path, home)


def test_a_link_out_of_the_table_is_refused(tmp_path: Path, home: Home) -> None:
    """Whoever may write there could let the factory read the files of others."""
    write_deltalake(tmp_path / "t", pa.table({"y": [1]}))
    (tmp_path / "link").symlink_to(tmp_path / "t")
    assert column(_ingested("link", tmp_path, home), home, "y") == [1]
    [file] = (tmp_path / "t").glob("*.parquet")
    file.rename(tmp_path / "other.parquet")
    file.symlink_to(tmp_path / "other.parquet")
    for name in ("t", "link"):
        says = rf"{name}/{file.name}: is a link that leads out of its folder"
        _refused({"delta": name}, says, tmp_path, home)


def _ingested(table: str, folder: Path, home: Home) -> Snapshot:
    return ingest(pipeline(folder, ingest={"source": {"delta": table}}), home).snapshot
