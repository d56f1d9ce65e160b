"""Rows of sources with a digest in common: members of a zip, partitions of a Delta table."""

import zipfile
from datetime import date
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake

from factory_assets.audit.trace.trace import trace
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.data import IngestResult
from factory_resources.home.home import Home
from tests.pipelines import declare


def test_the_label_tells_of_which_member_a_row_is(tmp_path: Path, home: Home) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("north/visits.csv", "visit\n91\n92\n")
        archive.writestr("south/visits.csv", 'visit\n"9\n3"\n94\n')
    sides, folder = ("north", "south"), tmp_path / "visits"
    sources = {one: {"files": "../export.zip", "member": f"{one}/*"} for one in sides}
    ingest = {"sources": sources, "label": "side"}
    pipeline = declare(folder, {"purpose": "Count", "ingest": ingest})
    for stage in ("ingest", "clean"):
        run_stage(StageRequest(pipeline, stage, home, "run"))
    expected = {2: ("north", (3, 3)), 3: ("south", (2, 3)), 4: ("south", (4, 4))}
    for number, (side, lines) in expected.items():
        row = trace("visits/clean", home, row=str(number), folders={"visits": folder}).row
        assert row
        assert row.source
        assert (row.source.name, row.lines) == (f"../export.zip/{side}/visits.csv", lines)
    # Forward, the rows of the member that is named are followed.
    for side, numbers in {"north": [2], "south": [4]}.items():
        member = f"../export.zip/{side}/visits.csv"
        back = trace("visits/clean", home, row=f"{member}:2", folders={"visits": folder}).row
        assert back
        assert [hop.row for hop in back.hops] == numbers
        found = trace(member, home, row="2", folders={"visits": folder})
        assert [source.labels for source in found.sources] == [{"side": side}]
        [fate] = found.fates
        assert [[place.row for place in one.places] for one in fate.passages] == [numbers] * 2


def test_the_folder_tells_of_which_partition_of_a_delta_table_a_row_is(
    tmp_path: Path, home: Home
) -> None:
    days = [date(2024, 1, 1), date(2024, 1, 2), None]
    rows = {"size": [1.5, 2.5] * 3, "day": [day for day in days for _ in range(2)]}
    write_deltalake(tmp_path / "table", pa.table(rows), partition_by=["day"])
    files = sorted((tmp_path / "table").glob("*/*.parquet"))
    assert len({file.read_bytes() for file in files}) == 1
    ingest = {"source": {"delta": "../table"}}
    pipeline = declare(tmp_path / "sizes", {"purpose": "Measure", "ingest": ingest})
    value = run_stage(StageRequest(pipeline, "ingest", home, "run")).value
    assert isinstance(value, IngestResult)
    assert value.findings.copies == {}
    for number in (1, 4, 6):
        row = trace("sizes/ingest", home, row=str(number), folders={}).row
        assert row
        assert row.source
        assert row.source.name == value.sources[(number - 1) // 2].name
        assert row.record == (number - 1) % 2 + 1
