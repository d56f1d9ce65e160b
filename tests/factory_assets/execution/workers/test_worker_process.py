"""Processes that work for a run store what the run alone would store, also if they are killed."""

import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from factory_assets.data.contract.table_checks import TableError
from factory_assets.execution.backfill import PartitionRun, backfill
from factory_assets.execution.requests import StagePlan, StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.execution.workers.stage_worker import setup_of, work_in
from factory_assets.execution.workers.worker import ComputedStage
from factory_assets.execution.workers.worker_process import WorkerProcess
from factory_assets.results.data import IngestResult
from factory_assets.spec import Pipeline, partition_of
from factory_resources.home.home import PROJECT, Home
from factory_resources.ledger.entries import StageComputed
from factory_resources.tracking.records import Records
from tests.factory_assets.execution.workers.dying import let_workers_die, worker_processes
from tests.ledger import ledger_entries, problems
from tests.long_run import in_long
from tests.pipelines import declare
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

_DAYS = [f"2024-01-0{day}" for day in range(1, 7)]
_NO_ROWS, _WRONG = "2024-01-05", "2024-01-06"
_MARKS = "2024-01-0[12].*[0-9]"

_DECLARED: dict[str, Any] = {
    "purpose": "Sizes of each day",
    "partitions": {"day": {"every": "day", "start": "2024-01-01"}},
    "ingest": {
        "source": {"python": "sizes:of", "args": {"day": "{day}"}, "reads": "{day}.csv"},
        "contract": {
            "columns": [
                {"name": "size", "type": "int64", "range": [0, None]},
                {"name": "colour", "type": "string", "sensitive": "personal"},
            ],
            "rows": {"at_least": 5},
        },
        "max_quarantine": 0.9,
    },
    "clean": {
        "where": {"small": "size < 90"},
        "deduplicate": ["size"],
        "derive": {"a": "size + 1"},
    },
}

_CODE = """
import csv
import os
import time
from pathlib import Path

import colours
import pyarrow as pa

def of(day):
    print("reading", day)
    if os.environ.get("SLOW"):
        (Path(__file__).parent / f"{day}.{os.getpid()}").touch()
        time.sleep(60)
    rows = list(csv.DictReader((Path(__file__).parent / f"{day}.csv").open()))
    if rows[0].get("size") is None:
        raise ValueError("no sizes\\nat all")
    sizes = [int(row["size"]) for row in rows]
    return pa.table({"size": sizes, "colour": [colours.of(size) for size in sizes]})
"""


_ALONE = """
import sys
from pathlib import Path
from factory_assets.declarations.loader import load_pipeline
from factory_resources.home.home import Home
from tests.factory_assets.execution.workers.test_worker_process import _run

_run(load_pipeline(Path(sys.argv[1])), Home(Path(sys.argv[2])), workers=0)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """A pipeline of six days; the fifth has too few rows, and the sixth none that can be read."""
    folder = tmp_path_factory.mktemp("workers") / "sizes_of_days"
    pipeline = declare(folder, _DECLARED)
    (folder / "sizes.py").write_text(_CODE)
    (folder / "colours.py").write_text("def of(size):\n    return 'ab'[size % 2]\n")
    for number, day in enumerate(_DAYS):
        # Rows that break the contract or a rule, and rows that repeat another.
        sizes = [-1, 95, *range(number, number + (2 if day == _NO_ROWS else 50)), number]
        head = "length" if day == _WRONG else "size"
        (folder / f"{day}.csv").write_text("\n".join([head, *map(str, sizes)]) + "\n")
    return pipeline


@pytest.fixture(scope="module")
def alone(made: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home that a process makes alone, which has loaded as little before as a worker has."""
    home = Home(tmp_path_factory.mktemp("alone") / "home")
    arguments = [str(made.folder), str(home.path)]
    subprocess.run([sys.executable, "-c", _ALONE, *arguments], cwd=PROJECT, check=True)
    return home


def _run(
    made: Pipeline, home: Home, *, workers: int, days: list[str] = _DAYS, steps: Any = None
) -> list[PartitionRun]:
    partitions = [partition_of(made.spec.partitions, day) for day in days]
    call = StageRequest(made, "ingest", home, "run", workers=workers, progress=steps)
    return [*backfill(run_stage, call, [one for one in partitions if one])]


def _stored(home: Home) -> dict[str, Any]:
    """Return what results are: tables with their files, records without times and costs."""
    records = {
        (one.stage, one.partition): (one.key, one.data_version, one.parts, one.inputs, one.value)
        for one in Records(home).all()
    }
    tables = sorted(str(f.relative_to(home.tables)) for f in home.tables.rglob("*.parquet"))
    latest = {
        (stage, day): record.key
        for stage in ("ingest", "clean")
        for day in _DAYS
        if (record := Records(home).latest("sizes_of_days", stage, day))
    }
    return {"records": records, "tables": tables, "latest": latest}


def _entered(home: Home) -> Counter[str]:
    """Count the entries about each record; they are in the order of their times."""
    entries = ledger_entries(home)
    computed = [one for one in entries if isinstance(one, StageComputed)]
    assert [one.time for one in computed] == sorted(one.time for one in computed)
    return Counter(one.subject for one in computed)


@pytest.mark.parametrize("workers", [3, *in_long([1])])
def test_workers_store_what_the_run_alone_stores(
    workers: int, made: Pipeline, alone: Home, home: Home, capfd: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []
    runs = _run(made, home, workers=workers, steps=told.append)
    assert _stored(home) == _stored(alone)
    assert len(_stored(home)["records"]) == 8
    assert {*_entered(home).values()} == {1}
    assert problems(home) == []
    assert [(one.partition.key, one.call.stage) for one in runs if one.outcome] == [
        (day, stage) for day in _DAYS[:4] for stage in ("ingest", "clean")
    ]
    assert sorted(told) == [f"{day} ({number} of 6)" for number, day in enumerate(_DAYS, 1)]
    # What a user's code prints comes out, and disturbs nothing.
    assert capfd.readouterr().out.count("reading 2024-01-01") == 1
    assert [*home.tmp.glob("*/")] == [home.tmp / "locks"]
    assert worker_processes() == []
    for one in Records(home).all():
        assert one.cpu_seconds is not None
        assert 0 < one.cpu_seconds < 10
        assert one.megabytes > 20


def test_errors_are_those_of_the_run_alone(made: Pipeline, alone: Home) -> None:
    here = [run.error for run in _run(made, alone, workers=0, days=[_NO_ROWS, _WRONG])]
    there = [run.error for run in _run(made, alone, workers=2, days=[_NO_ROWS, _WRONG])]
    assert [(type(one), str(one)) for one in there] == [(type(one), str(one)) for one in here]
    assert "4 rows, but the contract requires at least 5" in str(there[0])
    # The message of the user's code could quote a value of a sensitive column.
    assert "the data is not valid; details are hidden" in str(there[1])
    assert "no sizes" not in str(there[1])
    assert isinstance(there[0], TableError)
    assert isinstance(here[0], TableError)
    assert there[0].checks == here[0].checks


def test_what_is_unchanged_is_reused(made: Pipeline, alone: Home) -> None:
    before = _stored(alone), _entered(alone)
    runs = _run(made, alone, workers=2, days=_DAYS[:4])
    assert all(run.outcome and run.outcome.reused and not run.outcome.changed for run in runs)
    assert (_stored(alone), _entered(alone)) == before


def test_two_runs_at_the_same_time_store_nothing_twice(
    made: Pipeline, alone: Home, home: Home
) -> None:
    several: list[list[PartitionRun]] = []
    runs = [
        Thread(target=lambda: several.append(_run(made, home, workers=2, days=_DAYS[:4])))
        for _ in range(2)
    ]
    for one in runs:
        one.start()
    for one in runs:
        one.join(60)
    assert [len(found) for found in several] == [8, 8]
    outcomes = [run.outcome for found in several for run in found]
    assert sum(outcome is not None and not outcome.reused for outcome in outcomes) == 8
    assert _stored(home) == _stored(alone)
    assert {*_entered(home).values()} == {1}


def test_an_answer_that_nobody_heard_is_no_answer_to_the_next_request(
    made: Pipeline, home: Home
) -> None:
    def fail(_: StagePlan) -> None:
        raise RuntimeError("not told")

    with home.scratch() as scratch:
        call = StageRequest(made, "ingest", home, "run")
        worker = WorkerProcess(partial(call.processes.connect, setup_of(call, scratch, 1), {}))
        first, second = (partition_of(made.spec.partitions, day) for day in _DAYS[:2])
        with pytest.raises(RuntimeError, match="not told"):
            work_in(worker, replace(call, partition=first), fail)
        work = work_in(worker, replace(call, partition=second), lambda _: None)
        worker.close()
    assert isinstance(work, ComputedStage)
    assert isinstance(work.value, IngestResult)
    assert [source.labels for source in work.value.sources] == [{"day": "2024-01-02"}]
    assert worker_processes() == []


def test_killed_workers_leave_nothing_twice(
    made: Pipeline, alone: Home, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = (
        # The valid rows are stored, the others not yet.
        "factory_assets.data.blocks:keep:1",
        # Everything is stored, and nobody knows.
        "factory_assets.execution.computation:compute:1",
        "factory_assets.stages.ingest:store_profile:1",
        # The second stage of a partition is computed.
        "factory_assets.execution.computation:compute:2",
        # The answer is half-way out.
        "factory_assets.execution.workers.process:line_of:5",
    )
    let_workers_die(tmp_path, monkeypatch, *moments)
    runs = _run(made, home, workers=2, days=_DAYS[:4])
    assert len([*(tmp_path / "marks").iterdir()]) == len(moments)
    assert [run.error for run in runs if run.error] == []
    assert _stored(home) == _stored(alone)
    assert {*_entered(home).values()} == {1}
    assert problems(home) == []


def test_a_request_that_kills_every_worker_is_told_in_one_line(
    made: Pipeline, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = "factory_assets.execution.computation:compute"
    moments = (f"{moment}:1", f"{moment}:1", f"{moment}:no memory")
    let_workers_die(tmp_path, monkeypatch, *moments)
    first, *others = _run(made, home, workers=1, days=_DAYS[:2])
    assert str(first.error) == (
        "sizes_of_days/ingest: 3 workers in a row ended, the last one had no memory left; if the "
        "machine has too little memory, use fewer workers"
    )
    assert [(run.partition.key, run.call.stage) for run in others if run.outcome] == [
        ("2024-01-02", "ingest"),
        ("2024-01-02", "clean"),
    ]


_SCRIPT = """
import sys
from pathlib import Path
from tests.factory_assets.execution.workers.test_worker_process import _run
from factory_assets.declarations.loader import load_pipeline
from factory_resources.home.home import Home

_run(load_pipeline(Path(sys.argv[1])), Home(Path(sys.argv[2])), workers=2)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, *in_long([signal.SIGINT])])
def test_workers_end_with_the_run(number: signal.Signals, made: Pipeline, home: Home) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, str(made.folder), str(home.path)],
        env={**os.environ, "SLOW": "1", "PYTHONPATH": str(PROJECT)},
        stderr=subprocess.DEVNULL,
    )
    workers = _await_workers(made.folder)
    run.send_signal(number)
    run.wait(20)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    if number == signal.SIGINT:
        assert [*home.tmp.glob("*/")] == [home.tmp / "locks"]


def _await_workers(folder: Path) -> list[str]:
    """Return the numbers of two processes that are in the midst of a user's code."""
    wait_until(lambda: len([*folder.glob(_MARKS)]) > 1)
    marks = [*folder.glob(_MARKS)]
    for mark in marks:
        mark.unlink()
    return [mark.suffix[1:] for mark in marks]
