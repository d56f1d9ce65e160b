"""What something needs stays, traces and is reused; the rest goes, and a second time finds none."""

import os
import random
import shutil
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

import dagster as dg
import pytest

from factory_assets.audit.trace.trace import trace
from factory_assets.execution import runner
from factory_assets.execution.requests import StageRequest, stages_of
from factory_assets.execution.retention import find_garbage
from factory_assets.execution.runner import run_stage
from factory_assets.results.stages import Stage
from factory_resources.errors import StorageError, UnknownNameError
from factory_resources.home.garbage import Garbage, remove
from factory_resources.home.home import Home
from factory_resources.home.sqlite_files import dagster_files
from factory_resources.instance import create_run_log, prepare
from factory_resources.tracking.registry import Registry
from tests.delta_logs import break_log
from tests.engines import server_in_long
from tests.pipelines import APPLES, declare, enter, write_apples

MONTH = 30 * 86_400

PLAIN: dict[str, Any] = {
    "ingest": {"source": {"files": "data.csv"}},
    "clean": {"where": {"positive": "size > 0"}},
}


def _run(root: Path, name: str, attributes: dict[str, Any], run: str) -> list[Stage]:
    """Run all stages; those that were computed."""
    pipeline = declare(root / name, {"purpose": name, **attributes})
    home = Home(root / "home")
    outcomes = {s: run_stage(StageRequest(pipeline, s, home, run)) for s in stages_of(pipeline)}
    return [stage for stage, outcome in outcomes.items() if not outcome.reused]


def _write(root: Path, name: str, number: int) -> None:
    (root / name).mkdir(exist_ok=True)
    rows = "".join(f"{i - 1},{'red' if i % 2 else 'green'}\n" for i in range(number + 3))
    (root / name / "data.csv").write_text(f"size,colour\n{rows}")


def _waste(root: Path, *, days: float = 31, keep: int = MONTH) -> list[Garbage]:
    """As it will be found after some days."""
    home = Home(root / "home")
    found = find_garbage(home, Registry(home).versions(), keep, time.time() + days * 86_400)
    return [item for item in found if item.kind != "lock"]


def _collect(root: Path, **more: float) -> list[Garbage]:
    found = _waste(root, **more)  # type: ignore[arg-type]
    remove(found)
    assert _waste(root, **more) == []  # type: ignore[arg-type]
    return found


def _traces(root: Path, *names: str) -> None:
    folders = {f.name: f for f in root.iterdir() if f.is_dir()}
    for name in names:
        assert trace(name, Home(root / "home"), folders=folders).problems == ()


def _parquet(root: Path) -> set[Path]:
    return set((root / "home" / "tables").rglob("*.parquet"))


def _version(root: Path, name: str) -> str:
    return trace(name, Home(root / "home"), folders={}).name


def test_older_versions_go_and_the_latest_stays(tmp_path: Path) -> None:
    versions = []
    for number in range(3):
        _write(tmp_path, "fruit", number)
        _run(tmp_path, "fruit", PLAIN, f"run {number}")
        versions.append(_version(tmp_path, "fruit/clean"))
    source = (tmp_path / "fruit" / "data.csv").read_bytes()
    assert _waste(tmp_path, days=29) == []
    found = _collect(tmp_path)
    kinds = {kind: sum(item.kind == kind for item in found) for kind in ("record", "run")}
    assert kinds == {"record": 4, "run": 3}
    # Three tables, each with its current file.
    assert len(_parquet(tmp_path)) == 3
    assert sum(item.bytes for item in found if item.kind == "table file") > 0
    _traces(tmp_path, "fruit/clean", versions[2])
    assert _run(tmp_path, "fruit", PLAIN, "again") == []
    assert (tmp_path / "fruit" / "data.csv").read_bytes() == source
    with pytest.raises(UnknownNameError, match="of fruit/clean was removed by `factory gc`"):
        trace(versions[0], Home(tmp_path / "home"), folders={})
    # What is gone is made again where it is needed again.
    _write(tmp_path, "fruit", 0)
    assert _run(tmp_path, "fruit", PLAIN, "back") == ["ingest", "clean"]
    _traces(tmp_path, "fruit/clean", versions[0])


def test_a_checkpoint_that_nobody_took_up_goes(tmp_path: Path) -> None:
    _write(tmp_path, "fruit", 0)
    _run(tmp_path, "fruit", PLAIN, "run")
    kept = Home(tmp_path / "home").checkpoints / "fruit" / ("0" * 64) / "0" / "1.ckpt"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"state")
    # A checkpoint that is written again changes no folder.
    for folder in (kept.parent, kept.parents[1]):
        os.utime(folder, (0, 0))
    assert [item.kind for item in _waste(tmp_path, days=29)] == []
    assert "checkpoint" in {item.kind for item in _collect(tmp_path)}
    assert not kept.exists()


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("records/fruit/runs/old", "run"),
        ("pictures/previews/old.png", "cache"),
        ("profiles/old.json", "cache"),
        (f"checkpoints/fruit/{'0' * 64}", "checkpoint"),
        (f"checkpoints/fruit/{'0' * 64}.cost", "checkpoint"),
        ("dagster/history/runs/old.db", "log"),
    ],
)
def test_what_is_exactly_as_old_as_what_is_kept_stays(
    tmp_path: Path, place: str, kind: str
) -> None:
    home = Home(tmp_path / "home")
    path = home.path / place
    path.parent.mkdir(parents=True)
    path.write_bytes(b"old") if path.suffix else path.mkdir()
    os.utime(path, (1000, 1000))
    assert find_garbage(home, {}, 50, 1050) == []
    assert [item.kind for item in find_garbage(home, {}, 50, 1051)] == [kind]


def test_the_logs_of_old_runs_go_with_what_is_beside_them(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    prepare(home)
    logs: dict[str, list[Path]] = {}
    for run in ("old", "young", "read"):
        log = create_run_log(home.dagster, run)
        printed = home.dagster / "storage" / run / "compute_logs" / "step.err"
        printed.parent.mkdir(parents=True)
        printed.write_text("warning")
        journal = log.with_name(f"{log.name}-wal")
        journal.touch()
        logs[run] = [log, journal, printed.parents[1], printed.parent, printed]
        for path in logs[run]:
            os.utime(path, (1000, 1000))
    # Something was stored of the second run, and of the third something was printed.
    os.utime(logs["young"][1], (2000, 2000))
    os.utime(logs["read"][4], (2000, 2000))
    kept = {file.path for file in dagster_files(home)}
    for path in kept:
        os.utime(path, (1000, 1000))
    found = [item for item in find_garbage(home, {}, 500, 2000) if item.kind != "lock"]
    old, young = logs["old"], logs["young"]
    assert {item.path for item in found} == {*old[:3], young[2], *logs["read"][:2]}
    assert {item.kind for item in found} == {"log"}
    remove(found)
    assert {item.kind for item in find_garbage(home, {}, 500, 2000)} == {"lock"}
    assert all(path.exists() for path in kept)
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        assert instance.all_logs("old") == []


def test_records_exactly_as_old_as_what_is_kept_stay(tmp_path: Path) -> None:
    for number in range(2):
        _write(tmp_path, "fruit", number)
        _run(tmp_path, "fruit", PLAIN, f"run {number}")
    home = Home(tmp_path / "home")
    remove(find_garbage(home, {}, MONTH))
    for path in [*home.records.rglob("*"), *(home.path / "profiles").rglob("*")]:
        os.utime(path, (1000, 1000))
    assert find_garbage(home, {}, 50, 1050) == []
    found = {item.kind for item in find_garbage(home, {}, 50, 1051)}
    assert {"record", "run", "table file"} <= found
    # A record stays without the run that used it, and an old one as long as such a run.
    runs, records = sorted(home.records.glob("*/runs/*")), [*home.records.glob("*/*/*.json")]
    assert len(runs) == 2
    for old, young, gone in ((runs, records, runs), (records, runs, [])):
        for moment, paths in ((1000, young), (999, old)):
            for path in paths:
                os.utime(path, (moment, moment))
        assert [item.path for item in find_garbage(home, {}, 50, 1050)] == gone


def test_pictures_outside_the_folders_of_versions_are_left_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    for name in ("apples/notes.png", "apples/drafts/roc-1.png", "apples/7/roc-1.png"):
        (home.pictures / name).parent.mkdir(parents=True, exist_ok=True)
        (home.pictures / name).write_bytes(b"png")
    found = find_garbage(home, {}, 0, time.time() + 100)
    assert [item.path for item in found] == [home.pictures / "apples" / "7"]


def test_what_leads_to_a_record_goes_and_stays_with_it(tmp_path: Path) -> None:
    """A record of code of the user is found by what was known before the code ran."""
    python = {"ingest": {"source": {"python": "made:rows", "reads": []}}}
    folder = tmp_path / "fruit"
    folder.mkdir()
    for number in range(2):
        (folder / "made.py").write_text(
            f"import pyarrow as pa\ndef rows(): return pa.table({{'size': [{number}]}})\n"
        )
        assert _run(tmp_path, "fruit", python, f"run {number}") == ["ingest", "clean"]
    leading = tmp_path / "home" / "records" / "fruit" / "foreseen" / "ingest"
    assert len([*leading.iterdir()]) == 2
    _collect(tmp_path)
    assert len([*leading.iterdir()]) == 1
    assert _run(tmp_path, "fruit", python, "again") == []


def test_the_table_reads_as_its_current_version(tmp_path: Path) -> None:
    from deltalake import DeltaTable

    for number in range(3):
        _write(tmp_path, "fruit", number)
        _run(tmp_path, "fruit", PLAIN, f"run {number}")
    _collect(tmp_path)
    table = DeltaTable(str(tmp_path / "home" / "tables" / "fruit" / "clean"))
    assert table.to_pyarrow_table()["size"].to_pylist() == [1, 2, 3]
    assert table.version() == 2


def test_a_log_that_cannot_be_read_is_told_in_a_line_and_repaired_by_the_next_run(
    tmp_path: Path,
) -> None:
    _write(tmp_path, "fruit", 0)
    _run(tmp_path, "fruit", PLAIN, "run")
    home, folders = Home(tmp_path / "home"), {"fruit": tmp_path / "fruit"}
    break_log(home.tables / "fruit" / "clean")
    with pytest.raises(StorageError, match="_delta_log: cannot be read") as caught:
        _waste(tmp_path)
    assert "\n" not in str(caught.value)
    [problem] = trace("fruit/clean", home, folders=folders).problems
    assert problem.startswith("fruit/clean/_delta_log cannot be read")
    assert _run(tmp_path, "fruit", PLAIN, "again") == []
    _traces(tmp_path, "fruit/clean")
    _collect(tmp_path)


def test_what_was_used_lately_stays(tmp_path: Path) -> None:
    _write(tmp_path, "fruit", 0)
    _run(tmp_path, "fruit", PLAIN, "first")
    first = _version(tmp_path, "fruit/clean")
    _write(tmp_path, "fruit", 1)
    _run(tmp_path, "fruit", PLAIN, "second")
    old = time.time() - 40 * 86_400
    for path in (tmp_path / "home" / "records").rglob("*"):
        os.utime(path, (old, old))
    # A run of today has reused the oldest result, and another computed a newer one since.
    _write(tmp_path, "fruit", 0)
    assert _run(tmp_path, "fruit", PLAIN, "today") == []
    _write(tmp_path, "fruit", 2)
    _run(tmp_path, "fruit", PLAIN, "later")
    found = _collect(tmp_path, days=0)
    assert sum(item.kind == "record" for item in found) == 2
    _traces(tmp_path, first, "fruit/clean")


def test_what_another_pipeline_rests_on_stays(tmp_path: Path) -> None:
    _write(tmp_path, "orchard", 0)
    _run(tmp_path, "orchard", PLAIN, "first")
    _run(tmp_path, "juice", {"ingest": {"source": {"pipeline": "orchard"}}}, "juice")
    first = _version(tmp_path, "orchard/clean")
    for number in (1, 2):
        _write(tmp_path, "orchard", number)
        _run(tmp_path, "orchard", PLAIN, f"run {number}")
    found = _collect(tmp_path)
    assert sum(item.kind == "record" for item in found) == 2
    _traces(tmp_path, first, "juice/clean", "orchard/clean")
    row = trace("juice/clean", Home(tmp_path / "home"), row="1", folders={}).row
    assert row
    assert row.record == 3


def test_what_another_pipeline_rests_on_stays_if_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class HourBefore(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) - timedelta(hours=1)

    _write(tmp_path, "orchard", 0)
    _run(tmp_path, "orchard", PLAIN, "first")
    first = _version(tmp_path, "orchard/clean")
    with monkeypatch.context() as patch:
        patch.setattr(runner, "datetime", HourBefore)
        _run(tmp_path, "juice", {"ingest": {"source": {"pipeline": "orchard"}}}, "juice")
    _write(tmp_path, "orchard", 1)
    _run(tmp_path, "orchard", PLAIN, "second")
    _collect(tmp_path)
    _traces(tmp_path, first, "juice/clean", "orchard/clean")
    row = trace("juice/clean", Home(tmp_path / "home"), row="1", folders={}).row
    assert row
    assert row.record == 3


def test_partitions_keep_their_latest_each(tmp_path: Path) -> None:
    from factory_assets.spec import partition_of

    declared: dict[str, Any] = {
        "purpose": "days",
        "partitions": {"site": {"values": ["a", "b"]}},
        "ingest": {
            "source": {"files": "{site}.csv"},
            "contract": [{"name": "size", "type": "int64"}],
        },
    }
    pipeline = declare(tmp_path / "days", declared)
    for number in range(2):
        for site in ("a", "b"):
            (pipeline.folder / f"{site}.csv").write_text(f"size\n{number}\n{ord(site)}\n")
            key = partition_of(pipeline.spec.partitions, site)
            for stage in ("ingest", "clean"):
                run_stage(StageRequest(pipeline, stage, Home(tmp_path / "home"), f"{number}", key))
    found = _collect(tmp_path)
    assert sum(item.kind == "record" for item in found) == 4
    assert len(trace("days/clean", Home(tmp_path / "home"), folders={}).steps) == 4
    _traces(tmp_path, "days/clean")


def test_what_a_table_has_from_before_its_pipeline_was_partitioned_stays(tmp_path: Path) -> None:
    from factory_assets.spec import partition_of

    home, contract = Home(tmp_path / "home"), [{"name": "size", "type": "int64"}]
    for number, site in enumerate((None, "a")):
        split = {"partitions": {"site": {"values": ["a"]}}} if number else {}
        source = {"files": "{site}.csv" if number else "*.csv"}
        declared = {"purpose": "days", "ingest": {"source": source, "contract": contract}, **split}
        pipeline = declare(tmp_path / "days", declared)
        (pipeline.folder / "a.csv").write_text(f"size\n{number}\n")
        key = partition_of(pipeline.spec.partitions, site) if site else None
        run_stage(StageRequest(pipeline, "ingest", home, f"{number}", key))
    assert [item for item in _waste(tmp_path) if item.kind == "record"] == []


def test_interrupted_anywhere_it_goes_on(tmp_path: Path) -> None:
    for number in range(3):
        _write(tmp_path, "fruit", number)
        _run(tmp_path, "fruit", PLAIN, f"run {number}")
    chance = random.Random(7)
    total = len(_waste(tmp_path))
    for stop in sorted(chance.sample(range(1, total), 5)):
        root = shutil.copytree(tmp_path, tmp_path.with_name(f"stopped_{stop}"))
        found = _waste(root)
        remove(found[:stop])
        _traces(root, "fruit/clean")
        assert _run(root, "fruit", PLAIN, "amid") == []
        _collect(root)
        _traces(root, "fruit/clean")
        # What is removed already is no error.
        remove(found)


def test_what_kills_left_behind_goes(tmp_path: Path) -> None:
    _write(tmp_path, "fruit", 0)
    _run(tmp_path, "fruit", PLAIN, "run")
    home = Home(tmp_path / "home")
    assert _waste(tmp_path, days=0) == []
    table = home.tables / "fruit" / "clean"
    left = [
        home.tmp / "1.99-dead" / "rows.parquet",
        home.records / "fruit" / "clean" / ".half",
        table / "_delta_log" / "_commit_1.json.tmp",
        table / f"{'0' * 64}.parquet",
        home.tables / "fruit" / "never" / f"{'1' * 64}.parquet",
    ]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"left")
    with home.scratch() as own:
        (own / "rows.parquet").write_bytes(b"mine")
        found = _collect(tmp_path, days=0)
        assert (own / "rows.parquet").read_bytes() == b"mine"
    assert len(found) == len(left)
    assert [path for path in left if path.exists()] == []
    _traces(tmp_path, "fruit/clean")


@pytest.mark.slow
@server_in_long("prepared_engine")
def test_model_versions_keep_what_made_them(
    prepared_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    home = Home(tmp_path / "home")
    prepare(home)
    (tmp_path / "apples").mkdir()
    for rows in (200, 220):
        write_apples(tmp_path / "apples", rows)
        _run(tmp_path, "apples", APPLES, f"run {rows}")
    write_apples(tmp_path / "apples", 240)
    pipeline = declare(tmp_path / "apples", APPLES)
    run_stage(StageRequest(pipeline, "ingest", home, "third"))
    found = _collect(tmp_path)
    assert {item.kind for item in found} <= {"run", "cache"}
    _traces(tmp_path, "apples@1", "apples@2", "apples/ingest")
    Registry(home).client.delete_model_version("apples", "1")
    found = _collect(tmp_path)
    assert {item.kind for item in found} == {"record", "table file", "picture"}
    _traces(tmp_path, "apples@2", "apples@champion", "apples/ingest")
    write_apples(tmp_path / "apples", 220)
    assert _run(tmp_path, "apples", APPLES, "second again") == []
    with pytest.raises(StorageError, match="MLflow knows no model version"):
        find_garbage(home, {}, 0)
