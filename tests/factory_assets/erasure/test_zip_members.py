"""A person in a member of a zip: the rows of other members have the same numbers, and stay."""

import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from factory_assets.audit.trace.trace import trace
from factory_assets.data.sources.partition_listing import list_partitions
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.data import CleanResult
from factory_assets.spec import Partition, Pipeline
from tests.data_stages import column, rows
from tests.erasures import erase, home_of, note_erased
from tests.factory_assets.web.auditor.clients import app_of, client_of
from tests.factory_assets.web.pages.markup import text_of
from tests.ledger import problems
from tests.pipelines import declare, enter

pytestmark = pytest.mark.slow

_ZIP = {
    "people.csv": [["nbr", "town"], [11, 3], [12, 2], [13, 1]],
    "towns.csv": [["town", "inhabitants"], [1, 100], [2, 200], [3, 300]],
    "north/visits.csv": [["visit"], [91], [92], [93]],
    "south/visits.csv": [["visit"], [94], [95], [96]],
}

_FILES = "../../export.zip"


def _write(path: Path, members: dict[str, list[list[Any]]] = _ZIP) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, table in members.items():
            archive.writestr(name, "".join(",".join(map(str, row)) + "\n" for row in table))
    return path


def _declare(root: Path, name: str, member: str, **ingest: Any) -> None:
    ingest = {"source": {"files": _FILES, "member": member}, **ingest}
    declare(root / "defs" / name, {"purpose": "Count", "ingest": ingest})


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    enter(tmp_path, monkeypatch)
    _write(tmp_path / "export.zip")
    return tmp_path


def _run(root: Path, name: str) -> CleanResult:
    declared = load_pipeline(root / "defs" / name)
    for stage in ("ingest", "clean"):
        value = run_stage(StageRequest(declared, stage, home_of(root), "run")).value
    assert isinstance(value, CleanResult)
    return value


def _stored(root: Path, name: str, cell: str) -> list[Any]:
    """Return the values of a column in all files of the clean rows."""
    home = home_of(root)
    return column(_run(root, name).snapshot, home, cell)


def test_the_rows_of_another_member_stay(root: Path) -> None:
    home = home_of(root)
    members = {"people": "people.csv", "north": "north/*", "south": "south/*"}
    for name, member in members.items():
        _declare(root, name, member)
        _run(root, name)
    assert erase("visit = 95")
    assert erase("nbr = 11")
    [stored] = (home.tables / "north" / "clean").glob("*.parquet")
    assert pq.read_metadata(stored).num_rows == 3
    assert _stored(root, "people", "nbr") == [12, 13]
    assert _stored(root, "north", "visit") == [91, 92, 93]
    assert _stored(root, "south", "visit") == [94, 96]
    # Each is traced to where the rows of its own member went.
    for name, part in {"north": "snapshot", "south": "erased"}.items():
        path = f"{_FILES}/{name}/visits.csv"
        fates = trace(path, home, row="2", folders={}, verify=False).fates
        read = [fate.passages[0] for fate in fates]
        assert {(one.step.split("/")[0], one.places[0].part) for one in read} == {(name, part)}
    # An auditor is shown the member that was asked for, without the erased row.
    assert "1 91 2 92 3 93" in _shown(root, "north/visits.csv")
    assert "1 94 3 96" in _shown(root, "south/visits.csv")
    # A pipeline that is new since then.
    _declare(root, "towns", "towns.csv")
    assert _stored(root, "towns", "town") == [1, 2, 3]
    assert problems(home) == []


def _shown(root: Path, member: str) -> str:
    """Return what an auditor reads of a member, from the address that the search gives."""
    client = client_of(app_of(home_of(root)), "ada", ["auditor"])
    page = client.get(f"/audit/search?q={member}").headers["location"]
    text = text_of(client.get(f"{page}&row=2").text)
    return text[text.index("Rows 1 to") :]


def test_what_is_joined_from_another_member_stays(root: Path) -> None:
    home = home_of(root)
    towns = {"source": {"files": _FILES, "member": "towns.csv"}, "on": "town"}
    _declare(root, "people", "people.csv", joins={"towns": towns})
    _run(root, "people")
    assert erase("nbr = 13")
    left = rows(_run(root, "people").snapshot, home, "nbr", "inhabitants")
    assert left == [{"nbr": 11, "inhabitants": 300}, {"nbr": 12, "inhabitants": 200}]


def test_the_labels_tell_members_from_each_other(root: Path) -> None:
    home = home_of(root)
    members = {"north": "north/*", "south": "south/*"}
    sources = {name: {"files": _FILES, "member": member} for name, member in members.items()}
    ingest = {"sources": sources, "label": "side"}
    declare(root / "defs" / "visits", {"purpose": "Count", "ingest": ingest})
    _run(root, "visits")
    assert erase("visit = 95")
    [stored] = (home.tables / "visits" / "clean").glob("*.parquet")
    assert pq.read_table(stored)["visit"].to_pylist() == [91, 92, 93, 94, 96]
    assert _stored(root, "visits", "visit") == [91, 92, 93, 94, 96]


def test_the_manifest_does_not_have_the_name_of_the_member(root: Path) -> None:
    _declare(root, "people", "people.csv")
    _run(root, "people")
    assert erase("nbr = 13")
    [manifest] = (home_of(root).path / "erasures").glob("*.json")
    assert b"people.csv" not in manifest.read_bytes()


def test_a_partition_goes_only_where_it_has_no_other_rows(root: Path) -> None:
    home, names = home_of(root), ("pulses", "weights")
    for month, pulses in {"may": [101], "june": [102, 103]}.items():
        tables = [["value"], *([pulse] for pulse in pulses)], [["value"], [201 + len(pulses)]]
        members = {f"{name}.csv": table for name, table in zip(names, tables, strict=True)}
        _write(root / "months" / f"{month}.zip", members)

    def listed(name: str) -> tuple[Pipeline, list[Partition]]:
        declared = load_pipeline(root / "defs" / name)
        return declared, [*list_partitions(declared, datetime.now(UTC), {}, home).partitions]

    for name in names:
        ingest = {
            "source": {"files": "../../months/{month}.zip", "member": f"{name}.csv"},
            "contract": [{"name": "value", "type": "int64"}],
        }
        attributes = {"purpose": "Count", "partitions": {"month": {"dynamic": True}}}
        declare(root / "defs" / name, {**attributes, "ingest": ingest})
        declared, partitions = listed(name)
        for partition in partitions:
            run_stage(StageRequest(declared, "ingest", home, "run", partition=partition))
    assert erase("value = 101")
    left = {name: [one.key for one in listed(name)[1]] for name in names}
    assert left == {"pulses": ["june"], "weights": ["june", "may"]}


def test_rows_that_an_earlier_version_has_erased_stay_out(root: Path) -> None:
    home = home_of(root)
    digest = sha256((root / "export.zip").read_bytes()).hexdigest()
    note_erased(home, {digest: [2]})
    for name, member in {"people": "people.csv", "north": "north/*"}.items():
        _declare(root, name, member)
    assert _stored(root, "people", "nbr") == [11, 13]
    assert _stored(root, "north", "visit") == [91, 93]
