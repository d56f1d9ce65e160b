"""Crash safety with real processes and real kills.

A crash at any moment leaves the old version or the new one, and nothing that breaks a later run.
Concurrent runs do not corrupt a home. A full disk is an error of one line.
"""

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import NamedTuple

import pytest

from factory_assets.execution.removals import append_removed
from factory_assets.execution.retention import find_garbage
from factory_resources.errors import StorageError
from factory_resources.home.garbage import remove
from factory_resources.home.home import Home
from tests.e2e.crashes import KNOWN, change, damages, declared, go_on, run
from tests.killed_steps import quick_processes
from tests.ledger import cut_off_write
from tests.long_run import in_long

pytestmark = pytest.mark.slow
KILLS, MANY = 4, 46
"""Of a worker in every run of the tests, and in the long ones."""
COMMAND_KILLS = 4
"""Of the whole command, which spends most of its time on its start."""


class Factory(NamedTuple):
    """A pipeline and its home, and the undisturbed result for each state of the source."""

    root: Path
    expected: list[dict[str, str]]

    @property
    def home(self) -> Home:
        return Home(self.root / "home")

    def start(self) -> "subprocess.Popen[str]":
        """Start the command as a process."""
        environment = {
            **os.environ,
            "FACTORY_HOME": str(self.home.path),
            "FACTORY_DEFS": str(self.root),
        }
        return subprocess.Popen(
            [sys.executable, "-m", "factory_assets.cli", "run", "fruit"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def require_whole(self, state: int) -> None:
        """Require that nothing is damaged and the next run has the result of an undisturbed one."""
        assert [*damages(self.home)] == []
        change(self.root / "fruit", state)
        assert run(self.root, f"after {state}") == self.expected[state]
        assert [*damages(self.home)] == []


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The undisturbed result for each known state of the source."""
    root = tmp_path_factory.mktemp("undisturbed")
    declared(root)
    results = []
    for state in range(KNOWN):
        change(root / "fruit", state)
        results.append(run(root, f"run {state}"))
    return results


@pytest.fixture
def factory(tmp_path: Path, expected: list[dict[str, str]]) -> Factory:
    declared(tmp_path)
    return Factory(tmp_path, expected)


@pytest.fixture(scope="module")
def workers() -> ForkServerContext:
    """A context whose processes start quickly: their parent has loaded the libraries."""
    return quick_processes()


def _killed(
    workers: ForkServerContext,
    factory: Factory,
    delays: list[float],
    start: int,
) -> list[str]:
    """Start workers, kill each after its delay, and return the stage that each was in."""
    pairs = []
    for _ in delays:
        reader, writer = workers.Pipe(duplex=False)
        worker = workers.Process(target=go_on, args=(factory.root, start, writer))
        worker.start()
        writer.close()
        pairs.append((worker, reader))
    for _, reader in pairs:
        reader.poll(30)
    started = time.monotonic()
    stages = []
    for (worker, reader), delay in sorted(zip(pairs, delays, strict=True), key=lambda p: p[1]):
        time.sleep(max(0.0, started + delay - time.monotonic()))
        assert worker.is_alive()
        worker.kill()
        worker.join()
        stages.append(_last(reader, "start"))
    return stages


def _last(reader: Connection, stage: str) -> str:
    """Return the last stage that a worker has sent; if it has sent none since, the given one."""
    with contextlib.suppress(EOFError):
        while reader.poll(0):
            stage = reader.recv()
    return stage


def _killed_in(
    workers: ForkServerContext,
    factory: Factory,
    stage: str,
    share: float,
    start: int,
) -> str:
    """Start a worker, kill it in a stage, and return the stage that it was in.

    Args:
        share: of the time that the worker has taken for this stage before, on this machine.
    """
    reader, writer = workers.Pipe(duplex=False)
    worker = workers.Process(target=go_on, args=(factory.root, start, writer))
    worker.start()
    writer.close()
    # The first time, it loads what it needs.
    _await(reader, stage)
    _await(reader, stage)
    began = time.monotonic()
    reader.recv()
    lasts = time.monotonic() - began
    _await(reader, stage)
    time.sleep(share * lasts)
    assert worker.is_alive()
    worker.kill()
    worker.join()
    return _last(reader, stage)


def _await(reader: Connection, stage: str) -> None:
    while reader.recv() != stage:
        pass


def test_the_check_of_a_home_finds_damage(factory: Factory) -> None:
    run(factory.root, "run")
    [record] = (factory.home.records / "fruit" / "clean").glob("*.json")
    content = record.read_bytes()
    record.unlink()
    found = [*damages(factory.home)]
    assert found[-1] == "clean points to a missing record"
    assert len([line for line in found if f"records/fruit/clean/{record.name}" in line]) == 1
    record.write_bytes(content)
    [file] = (factory.home.tables / "fruit" / "clean").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-1])
    told = [line for line in damages(factory.home) if file.name in line]
    assert len(told) == 3, told


def test_a_ledger_whose_writer_was_killed_is_undone_by_whoever_opens_it(factory: Factory) -> None:
    run(factory.root, "run")
    cut_off_write(factory.home.ledger)
    factory.require_whole(1)


@pytest.mark.parametrize("kills", [KILLS, pytest.param(MANY, marks=pytest.mark.long)])
def test_a_home_survives_kills_of_a_worker_at_random_moments(
    kills: int, workers: ForkServerContext, factory: Factory
) -> None:
    chance = random.Random(20240131)
    stages: Counter[str] = Counter()
    # On a busy machine a few kills may all come too early or too late: then there are more.
    for kill in range(4 * kills):
        share = 2 * (kill // 2 % (kills // 2) + chance.random()) / kills
        # The second and the third state that it comes to are new, so that it computes both times.
        stage = ("ingest", "clean")[kill % 2]
        stages[_killed_in(workers, factory, stage, share, start=99 * kill)] += 1
        factory.require_whole(chance.randrange(KNOWN))
        # The kills were spread: some in each stage, and many during work that left scratch files.
        left = len([p for p in factory.home.tmp.iterdir() if p.is_dir()])
        spread = min(stages["ingest"], stages["clean"]) > kills / 10 and left > kills / 5
        if spread and kill + 1 >= kills:
            break
    assert spread, (stages, left)


@pytest.mark.long
def test_a_home_survives_kills_of_the_command_at_random_moments(factory: Factory) -> None:
    duration = 0.0
    for state in range(2):
        # The first start prepares the home, which takes longer than the run; the second counts.
        change(factory.root / "fruit", state)
        started = time.monotonic()
        first = factory.start()
        output = first.communicate(timeout=120)[0]
        assert first.returncode == 0, output
        duration = time.monotonic() - started
    chance = random.Random(20240229)
    for kill in range(COMMAND_KILLS):
        change(factory.root / "fruit", kill + 1)
        process = factory.start()
        time.sleep(chance.uniform(0.4, 1.0) * duration)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        factory.require_whole(chance.randrange(KNOWN))
    change(factory.root / "fruit", 3)
    last = factory.start()
    output = last.communicate(timeout=60)[0]
    assert last.returncode == 0, output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    "runs", [2, *(pytest.param(runs, marks=pytest.mark.long) for runs in (4, 20))]
)
def test_concurrent_runs_do_not_corrupt_a_home(factory: Factory, runs: int) -> None:
    for state in (1, 2) if runs > 2 else (1,):
        change(factory.root / "fruit", state)
        processes = [factory.start() for _ in range(runs)]
        outputs = [process.communicate(timeout=300)[0] for process in processes]
        assert [process.returncode for process in processes] == [0] * runs, outputs
        factory.require_whole(state)


@pytest.mark.parametrize("rounds", [1, *in_long([3])])
def test_a_home_survives_kills_of_concurrent_workers(
    rounds: int, workers: ForkServerContext, factory: Factory
) -> None:
    chance = random.Random(20240331)
    for start in range(rounds):
        delays = [chance.uniform(0.1, 1.0) for _ in range(4)]
        _killed(workers, factory, delays, start=10_000 + 100 * start)
        factory.require_whole(chance.randrange(KNOWN))


def test_garbage_is_removed_between_the_stages_of_a_worker(
    workers: ForkServerContext, factory: Factory
) -> None:
    reader, writer = workers.Pipe(duplex=False)
    worker = workers.Process(target=go_on, args=(factory.root, 0, writer))
    worker.start()
    reader.recv()
    removed = 0
    started = time.monotonic()
    while removed < 20 and time.monotonic() - started < 60:
        with contextlib.suppress(StorageError), factory.home.alone():
            # Possible only between two stages of the worker; its latest results are retained.
            found = find_garbage(factory.home, {}, seconds=0)
            append_removed(found, factory.home)
            remove(found)
            removed += len(found)
        time.sleep(0.002)
    assert worker.is_alive()
    worker.kill()
    worker.join()
    assert removed >= 20
    factory.require_whole(3)


def test_a_file_size_limit_is_a_clear_error(factory: Factory) -> None:
    assert run(factory.root, "before") == factory.expected[0]
    change(factory.root / "fruit", 1, rows=200_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StorageError, match="free space or make the folder writable"):
            run(factory.root, "full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    left = sorted(p.name for p in factory.home.tmp.iterdir())
    assert left == [".acting", ".working", "locks"]
    factory.require_whole(0)


@pytest.mark.long
def test_a_full_disk_is_a_clear_error(tmp_path: Path, expected: list[dict[str, str]]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small disk")
    try:
        declared(tmp_path)
        (tmp_path / "home").symlink_to(disk)
        factory = Factory(tmp_path, expected)
        change(tmp_path / "fruit", 0)
        assert run(tmp_path, "before") == expected[0]
        change(tmp_path / "fruit", 1, rows=2_000_000)
        with pytest.raises(StorageError, match=r"free (disk )?space"):
            run(tmp_path, "full")
        factory.require_whole(0)
    finally:
        subprocess.run(["umount", str(disk)], check=False)
