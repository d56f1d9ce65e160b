"""Runs as events of OpenLineage, read by the classes of OpenLineage's own client."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from typing import Any
from uuid import uuid4

import pytest
from openlineage.client.generated.base import EventType

from factory_assets.cli.check.check import check
from factory_assets.cli.openlineage import event_lines
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.openlineage.datasets import MAX_SOURCES
from factory_assets.openlineage.delivery import deliver, events_folder
from factory_assets.openlineage.events import recorded_events
from factory_assets.results.data import SplitResult
from factory_assets.results.latest import PARTITIONED
from factory_assets.results.record_graph import RecordGraph
from factory_assets.results.stages import STAGES
from factory_assets.spec import Pipeline, partition_of
from factory_assets.spec.settings import OpenLineageSettings
from factory_resources.errors import DataError, DeclarationError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from tests.disks import small_disk
from tests.event_server import receiving_events
from tests.openlineage_reader import read_event
from tests.pipelines import APPLES, declare, enter, write_apples
from tests.running_factory import free_port

pytestmark = pytest.mark.slow

RUN = str(uuid4())
OWNED: dict[str, Any] = {
    **APPLES,
    "owners": ["team:orchard"],
    "clean": {
        "where": {"positive": "size > 1", "any": "size > -1"},
        "derive": {"double": "size * 2"},
    },
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a home of a whole pipeline that has run once; its events are in a file."""
    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        pipeline = _declare(root, "openlineage: {file: events.jsonl, namespace: orchard}")
        prepare(Home(root / "home"))
        for stage in STAGES:
            scheduled = "2026-01-01T02:00:00+00:00"
            run_stage(StageRequest(pipeline, stage, _home(root), RUN, scheduled=scheduled))
        yield root


def _declare(root: Path, settings: str, attributes: dict[str, Any] = OWNED) -> Pipeline:
    folder = root / "defs" / "apples"
    write_apples(folder)
    (root / "defs" / "factory.yaml").write_text(settings + "\n")
    return declare(folder, attributes)


def _home(root: Path) -> Home:
    return Home(root / "home")


def _written(root: Path, name: str = "events.jsonl") -> list[dict[str, Any]]:
    file = events_folder(_home(root)) / name
    return [*map(json.loads, file.read_text().splitlines())] if file.exists() else []


@pytest.fixture
def events(made: Path) -> dict[str, Any]:
    """The events that end the stages, by stage."""
    complete = [one for one in _written(made) if one["eventType"] == "COMPLETE"]
    return {one["job"]["name"].removeprefix("apples."): one for one in complete}


def test_every_stage_has_two_events_that_the_client_of_openlineage_reads(made: Path) -> None:
    read = [*map(read_event, _written(made))]
    assert [event.eventType for event in read] == [EventType.START, EventType.COMPLETE] * 6
    assert [event.job.name for event in read[::2]] == [f"apples.{stage}" for stage in STAGES]
    for start, end in zip(read[::2], read[1::2], strict=True):
        assert start.run.runId == end.run.runId
        assert start.eventTime <= end.eventTime
        assert end.run.facets["parent"].run.runId == RUN
        assert end.run.facets["nominalTime"].nominalStartTime == "2026-01-01T02:00:00+00:00"
        assert end.job.facets["ownership"].owners[0].name == "team:orchard"
        assert end.job.facets["documentation"].description == APPLES["purpose"]
        assert len(end.job.facets["sourceCodeLocation"].version) == 64
    assert len({event.run.runId for event in read}) == 6


def test_what_one_stage_writes_is_what_the_next_one_reads(events: dict[str, Any]) -> None:
    def versions(datasets: list[dict[str, Any]]) -> set[tuple[str, ...]]:
        return {
            (one["namespace"], one["name"], one["facets"]["version"]["datasetVersion"])
            for one in datasets
        }

    written: set[tuple[str, ...]] = set()
    for stage in STAGES:
        read = versions(events[stage]["inputs"])
        if stage == "ingest":
            assert {(space, name) for space, name, _ in read} == {("file", "data.csv")}
        else:
            assert read
            assert read <= written
        written |= versions(events[stage]["outputs"])
    assert {"apples/model", "apples/onnx", "apples/split_test"} <= {name for _, name, _ in written}


def test_columns_rows_and_checks_are_those_of_the_stages(events: dict[str, Any]) -> None:
    clean = events["clean"]["outputs"][0]
    fields = clean["facets"]["columnLineage"]["fields"]
    assert fields["double"]["inputFields"] == [
        {"namespace": "orchard", "name": "apples/ingest", "field": "size"}
    ]
    kinds = {one["name"]: one["type"] for one in clean["facets"]["schema"]["fields"]}
    assert (kinds["double"], kinds["colour"]) == ("DOUBLE", "VARCHAR")
    quarantined = events["clean"]["outputs"][1]
    counts = [one["outputFacets"]["outputStatistics"]["rowCount"] for one in (clean, quarantined)]
    assert sum(counts) == 200
    checked = events["clean"]["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert [(one["assertion"], one["success"], one["actual"]) for one in checked] == [
        ("positive", False, f"{counts[1]} rows"),
        ("any", True, "0 rows"),
    ]
    source = events["ingest"]["inputs"][0]
    assert source["inputFacets"]["dataQualityAssertions"]["assertions"]
    of_size = events["ingest"]["outputs"][0]["facets"]["columnLineage"]["fields"]["size"]
    assert of_size["inputFields"] == [{"namespace": "file", "name": "data.csv", "field": "size"}]
    gates = events["evaluate"]["inputs"][0]["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert "roc_auc" in " ".join(gate["assertion"] for gate in gates)


def test_events_of_records_are_those_of_the_run(made: Path) -> None:
    def comparable(event: dict[str, Any]) -> dict[str, Any]:
        facets = {k: v for k, v in event["run"]["facets"].items() if k != "nominalTime"}
        return {**event, "eventTime": "", "run": {**event["run"], "facets": facets}}

    recorded = [*map(json.loads, event_lines("apples", RUN[:8]))]
    assert [*map(comparable, recorded)] == [*map(comparable, _written(made))]
    times = [event["eventTime"] for event in recorded]
    assert all(start <= end for start, end in zip(times[::2], times[1::2], strict=True))
    assert [*event_lines("apples", None)] == [*event_lines("apples", RUN)]
    with pytest.raises(UnknownNameError, match="no stage of apples"):
        [*event_lines("apples", "another")]


def test_a_stage_of_which_an_input_is_gone_tells_of_none(made: Path) -> None:
    pipeline, whole = load_pipeline(made / "defs" / "apples"), RecordGraph.of(_home(made))
    left = RecordGraph(whole.home, tuple(r for r in whole.records if r.stage != "split"))
    recorded = [*recorded_events(pipeline, left.records, left, "orchard")]
    read = {one["job"]["name"]: one["inputs"] for one in recorded if one["eventType"] == "COMPLETE"}
    assert read["apples.clean"]
    assert read["apples.train"] == []
    # `evaluate` reads the split and the candidate, which is there.
    assert read["apples.evaluate"] == []


def test_a_reused_stage_has_no_event(made: Path) -> None:
    before = len(_written(made))
    pipeline = _declare(made, "openlineage: {file: events.jsonl, namespace: orchard}")
    assert run_stage(StageRequest(pipeline, "clean", _home(made), "later")).reused
    assert len(_written(made)) == before


def test_a_stage_that_fails_has_an_event_with_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    pipeline = _declare(tmp_path, "openlineage: {}", {**OWNED, "clean": {"where": {"no": "false"}}})
    run_stage(StageRequest(pipeline, "ingest", _home(tmp_path), "first"))
    with pytest.raises(DataError) as error:
        run_stage(StageRequest(pipeline, "clean", _home(tmp_path), "first"))
    start, failed = map(read_event, _written(tmp_path)[-2:])
    assert (start.eventType, failed.eventType) == (EventType.START, EventType.FAIL)
    assert failed.run.facets["errorMessage"].message == str(error.value)
    assert start.inputs[0].name == "apples/ingest"
    with pytest.raises(DataError):
        run_stage(StageRequest(pipeline, "split", _home(tmp_path), "first"))
    assert [one["eventType"] for one in _written(tmp_path)[-2:]] == ["START", "FAIL"]


def test_an_interrupted_stage_is_aborted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(message: str) -> None:
        raise KeyboardInterrupt(message)

    enter(tmp_path, monkeypatch)
    pipeline = _declare(tmp_path, "openlineage: {}")
    computing = "factory_assets.execution.computation.compute"
    monkeypatch.setattr(computing, lambda *_: interrupt("stop"))
    with pytest.raises(KeyboardInterrupt):
        run_stage(StageRequest(pipeline, "ingest", _home(tmp_path), "first"))
    assert [read_event(one).eventType.name for one in _written(tmp_path)] == ["START", "ABORT"]


def test_many_sources_are_one_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(tmp_path, monkeypatch)
    ingest = {**APPLES["ingest"], "source": {"files": "many/*.csv"}}
    pipeline = _declare(tmp_path, "openlineage: {}", {**APPLES, "ingest": ingest})
    (pipeline.folder / "many").mkdir()
    for number in range(MAX_SOURCES + 1):
        file = pipeline.folder / "many" / f"{number:02}.csv"
        file.write_text(f"size,colour,label\n{number + 1}.5,red,good\n")
    run_stage(StageRequest(pipeline, "ingest", _home(tmp_path), "first"))
    [source] = read_event(_written(tmp_path)[-1]).inputs
    assert source.name == "many/00.csv and 20 more"
    assert source.inputFacets["dataQualityAssertions"].assertions


def test_partitions_are_runs_of_their_own_and_one_table_for_what_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    attributes: dict[str, Any] = {
        **APPLES,
        "partitions": {"day": {"every": "day", "start": "2024-01-01"}},
        "ingest": {**APPLES["ingest"], "source": {"files": "{day}.csv"}},
    }
    pipeline = _declare(tmp_path, "openlineage: {}", attributes)
    for day in ("2024-01-01", "2024-01-02"):
        (pipeline.folder / "data.csv").rename(pipeline.folder / f"{day}.csv")
        write_apples(pipeline.folder, rows=len(day) * 10)
        key = partition_of(pipeline.spec.partitions, day)
        for stage in PARTITIONED:
            run_stage(StageRequest(pipeline, stage, _home(tmp_path), "first", key))
    split = run_stage(StageRequest(pipeline, "split", _home(tmp_path), "first")).value
    assert isinstance(split, SplitResult)
    complete = [one for one in _written(tmp_path) if one["eventType"] == "COMPLETE"]
    assert len({one["run"]["runId"] for one in complete}) == len(complete) == 5
    rows = [one["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] for one in complete]
    assert rows[1] + rows[3] == split.train.rows + split.validation.rows + split.test.rows
    [read] = complete[-1]["inputs"]
    assert read["name"] == "apples/clean"
    versions = [one["outputs"][0]["facets"]["version"]["datasetVersion"] for one in complete]
    assert read["facets"]["version"]["datasetVersion"] not in versions
    recorded = [json.loads(line) for line in event_lines("apples", "first")]
    assert [one["inputs"] for one in recorded if one["eventType"] == "COMPLETE"][-1] == [read]


def test_a_run_sends_its_events_to_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    # While the server is away, nobody else takes it.
    port = free_port()
    address = f"127.0.0.1:{port}"
    settings = f"openlineage: {{address: '{address}'}}\nboundary: {{allow: ['{address}']}}"
    pipeline = _declare(tmp_path, settings)
    with receiving_events(port) as (_, taken, _):
        run = run_stage(StageRequest(pipeline, "ingest", _home(tmp_path), "first"))
    assert [read_event(one).eventType.name for one in taken] == ["START", "COMPLETE"]
    assert run.warning is None
    run = run_stage(StageRequest(pipeline, "clean", _home(tmp_path), "first"))
    assert run.warning == f"OpenLineage: {address} does not take the events; they wait in the home"
    assert len(_written(tmp_path, "spool.jsonl")) == 2
    with receiving_events(port) as (_, taken, _):
        run_stage(StageRequest(pipeline, "split", _home(tmp_path), "first"))
    names = [(one["job"]["name"], one["eventType"]) for one in taken]
    assert names == [
        (f"apples.{stage}", kind) for stage in ("clean", "split") for kind in ("START", "COMPLETE")
    ]
    assert _written(tmp_path, "spool.jsonl") == []


def test_what_the_boundary_does_not_allow_is_not_asked_and_stops_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    with receiving_events() as (port, taken, _):
        address = f"127.0.0.1:{port}"
        pipeline = _declare(tmp_path, f"openlineage:\n  address: '{address}'")
        run = run_stage(StageRequest(pipeline, "ingest", _home(tmp_path), "first"))
        assert taken == []
        line = f"the boundary does not allow {address}"
        assert line in (run.warning or "")
        [problem] = check()
        assert (problem.line, line in problem.message) == (2, True)
        settings = f"openlineage: {{address: '{address}'}}\nboundary: {{allow: ['{address}']}}"
        pipeline = _declare(tmp_path, settings)
        assert check() == []
        run_stage(StageRequest(pipeline, "clean", _home(tmp_path), "second"))
    assert [one["eventType"] for one in taken] == ["START", "COMPLETE"] * 2


def test_what_a_server_refuses_does_not_block_what_follows(home: Home) -> None:
    with receiving_events() as (port, taken, answers):
        settings = OpenLineageSettings(address=f"127.0.0.1:{port}")
        answers[:] = [422, 201, 503]
        for number in range(4):
            deliver(settings, {"number": number}, home)
    assert [one["number"] for one in taken] == [1, 2, 3]
    assert (events_folder(home) / "refused.jsonl").read_text() == '{"number":0}\n'
    # A name that nobody can look up.
    assert not deliver(OpenLineageSettings(address="plant..example:80"), {"number": 4}, home)


def test_a_folder_that_cannot_be_written_fails_no_run(home: Home) -> None:
    deliver(OpenLineageSettings(), {"number": 0}, home)
    rmtree(events_folder(home))
    events_folder(home).write_text("a file")
    deliver(OpenLineageSettings(), {"number": 0}, home)
    assert events_folder(home).read_text() == "a file"


@pytest.mark.parametrize("address", [None, "127.0.0.1:9"])
def test_a_full_disk_takes_no_part_of_an_event(address: str | None, tmp_path: Path) -> None:
    settings = OpenLineageSettings(address=address)
    with small_disk(tmp_path / "disk", 2_000_000) as disk:
        home = Home(disk.folder / "home")

        def give(number: int) -> None:
            # More than a page of the disk.
            deliver(settings, {"number": number, "text": "x" * 6000}, home, may_send=False)

        give(0)
        with disk.filled(4096):
            give(1)
            give(2)
        give(3)
        [file] = events_folder(home).glob("*.jsonl")
        numbers = [json.loads(line)["number"] for line in file.read_text().splitlines()]
    assert numbers == [0, 1, 3]


def test_a_large_file_of_events_is_set_aside(home: Home) -> None:
    file = events_folder(home) / "events.jsonl"
    deliver(OpenLineageSettings(), {"number": 0}, home)
    with file.open("r+b") as large:
        os.truncate(large.fileno(), 10_000_001)
    deliver(OpenLineageSettings(), {"number": 0}, home)
    assert file.read_text() == '{"number":0}\n'
    assert file.with_name("events.jsonl.1").stat().st_size == 10_000_001


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{address: '10.0.0.1'}", "is not an address"),
        ("{file: ../outside.jsonl}", "openlineage.file"),
        ("{file: a.jsonl, address: '10.0.0.1:5000'}", "either a file or an address"),
        ("{path: /lineage}", "declare its address"),
    ],
)
def test_wrong_settings_are_told_with_their_line(
    settings: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    pipeline = _declare(tmp_path, f"openlineage: {settings}")
    with pytest.raises(DeclarationError, match=message):
        run_stage(StageRequest(pipeline, "ingest", _home(tmp_path), "first"))
