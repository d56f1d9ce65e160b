"""Processes that are started before they are asked for anything are those that are then asked."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from factory_assets.execution.ledger_entries import declaration_digest
from factory_assets.execution.workers.connection import LocalConnection
from factory_assets.execution.workers.local_processes import LocalProcesses, local_processes
from factory_assets.execution.workers.protocol import StageCall, TurnCall, WorkerSetup, line_of
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from tests.factory_assets.execution.workers.dying import children, worker_processes
from tests.pipelines import declare
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

_SOURCE = """
import os
from pathlib import Path
import pyarrow as pa

def of(day):
    (Path(__file__).parent / f"{os.getpid()} {os.environ.get('SHARE')}").touch()
    return pa.table({"size": [1]})
"""


@pytest.fixture
def sizes(tmp_path: Path) -> Pipeline:
    declared = {
        "purpose": "Sizes of each day",
        "partitions": {"day": {"every": "day", "start": "2024-01-01"}},
        "ingest": {
            "source": {"python": "sizes:of", "args": {"day": "{day}"}},
            "contract": {"columns": [{"name": "size", "type": "int64"}]},
        },
    }
    pipeline = declare(tmp_path / "sizes", declared)
    (tmp_path / "sizes" / "sizes.py").write_text(_SOURCE)
    return pipeline


@pytest.fixture
def processes() -> Iterator[LocalProcesses]:
    with local_processes() as started:
        yield started
    assert worker_processes() == []


Numbers = Callable[[], list[str]]


@pytest.fixture
def numbers() -> Numbers:
    """Return the processes that were started since: earlier tests may have left some."""
    before = children()
    return lambda: [one for one in children() if one not in before]


def _ask(processes: LocalProcesses, pipeline: Pipeline, home: Home, share: str) -> str:
    """Ask a process for a partition; return its number and its variable.

    The thread that has it started ends while it works.
    """
    with home.scratch() as scratch:
        setup = WorkerSetup(
            path=(),
            folder=pipeline.folder,
            declaration=declaration_digest(pipeline),
            home=home.path,
            scratch=scratch,
            run_id="run",
            reuse=True,
            tags={},
            scheduled=None,
            workers=1,
            hashing=0,
            objects=False,
        )
        setup = setup.model_copy(update={"path": (str(pipeline.folder), *sys.path)})

        def begin() -> LocalConnection:
            connection = processes.connect(setup, {"SHARE": share})
            connection.send(line_of(StageCall(stage="ingest", partition="2024-01-01")))
            while b'"turn"' not in (line := connection.line()):
                assert b'"failed"' not in line, line
            return connection

        with ThreadPoolExecutor(1) as thread:
            connection = thread.submit(begin).result()
        connection.send(line_of(TurnCall()))
        while b'"computed"' not in (line := connection.line()):
            assert b'"failed"' not in line, line
        connection.remove()
    [mark] = pipeline.folder.glob(f"* {share}")
    return mark.name


def test_those_that_are_ready_are_asked_first(
    numbers: Numbers, processes: LocalProcesses, sizes: Pipeline, home: Home
) -> None:
    processes.prepare(1)
    [ready] = numbers()
    assert _ask(processes, sizes, home, "first") == f"{ready} first"
    another, share = _ask(processes, sizes, home, "second").split()
    assert (another != ready, share) == (True, "second")


def test_no_more_are_started_than_are_missing(numbers: Numbers, processes: LocalProcesses) -> None:
    processes.prepare(2)
    processes.prepare(1)
    processes.prepare(0)
    assert len(numbers()) == 2


def test_one_that_was_killed_meanwhile_is_not_asked(
    numbers: Numbers, processes: LocalProcesses, sizes: Pipeline, home: Home
) -> None:
    processes.prepare(1)
    [ready] = numbers()
    os.kill(int(ready), signal.SIGKILL)
    wait_until(lambda: not worker_processes())
    assert not _ask(processes, sizes, home, "first").startswith(ready)
