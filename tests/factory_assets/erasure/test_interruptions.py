"""An erasure that is killed at any moment, or finds the disk full, is finished afterwards."""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from factory_assets.cli.forget import resume
from factory_assets.cli.main import main
from factory_resources.erasure.manifest import intent_file, manifests
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from tests.disks import Disk, small_disk
from tests.erasures import CITY, NAME, PERSON, WEIGHT, WHERE, copied, erase, home_of
from tests.killed_steps import quick_processes
from tests.ledger import problems
from tests.long_run import in_long

pytestmark = pytest.mark.slow

MOMENTS = 20


def _left(home: Home) -> list[str]:
    """Return the files that have the person's values, as bytes or in cells of tables."""
    found = []
    for path in sorted(home.path.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        cells = []
        if path.suffix == ".parquet":
            cells = duckdb.execute(f"FROM '{path}'").fetchall()
        values = {NAME, CITY, PERSON, str(PERSON), WEIGHT, 2 * WEIGHT}
        if any(text.encode() in content for text in (NAME, CITY, str(PERSON))) or any(
            values.intersection(row) for row in cells
        ):
            found.append(str(path.relative_to(home.path)))
    return found


def _finish(home: Home) -> None:
    """Do what somebody does who finds an erasure killed: finish it, or begin again."""
    try:
        assert resume(home)
    except UnknownNameError:
        if not [*manifests(home)]:
            assert erase()
    assert _left(home) == []
    assert problems(home) == []
    assert not [*intent_file(home, "").parent.glob("*")]


def _work(environment: dict[str, str]) -> None:
    os.environ.update(environment)
    erase()


def _seconds(moment: float | None) -> float:
    """Erase in a process that is killed after some seconds; return how long it worked."""
    process = quick_processes().Process(target=_work, args=({**os.environ},))
    started = time.monotonic()
    process.start()
    process.join(moment)
    assert process.pid is not None
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    return time.monotonic() - started


@pytest.mark.long
def test_killed_at_any_moment_it_is_finished_afterwards(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(made, tmp_path / "whole", monkeypatch)
    _seconds(None)
    copied(made, tmp_path / "again", monkeypatch)
    whole = _seconds(None)
    draw = random.Random(17)
    for number in range(MOMENTS):
        root = copied(made, tmp_path / str(number), monkeypatch)
        _seconds(whole * (number + draw.random()) / MOMENTS)
        _finish(home_of(root))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk", 200_000_000) as disk:
        yield disk


@pytest.mark.parametrize("free", [0, 400_000, *in_long([60_000, 1_500_000])])
def test_on_a_full_disk_it_is_one_line_and_finished_when_there_is_room(
    free: int, disk: Disk, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied(made, disk.folder / "root", monkeypatch)
    with disk.filled(free):
        asked = ["forget", "--where", WHERE, "--reason", "request 2026-117", "--yes"]
        done = CliRunner().invoke(main, asked)
    assert "Traceback" not in done.output
    if done.exit_code:
        [line] = [one for one in done.stderr.splitlines() if one.startswith("error: ")]
        assert (done.exit_code, "free space" in line) == (2, True), done.output
    _finish(home_of(root))
