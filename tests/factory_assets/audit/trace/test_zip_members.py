"""Rows of several members of a zip, which have the digest of the zip in common."""

import zipfile
from pathlib import Path

from factory_assets.audit.trace.trace import trace
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
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
