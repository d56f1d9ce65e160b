"""After a first start that was killed, or that filled the disk, the next one works."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from factory_resources.home.home import Home
from factory_resources.home.sqlite_files import dagster_files, mlflow_file
from tests.disks import small_disk
from tests.e2e.conftest import command
from tests.pipelines import APPLES, declare, write_apples

pytestmark = pytest.mark.slow

KILLS, FEW = 30, 3
SIZES = (40_000, 300_000, 700_000, 1_000_000, 1_400_000)
"""Bytes of a disk on which the databases do not fit."""
ENOUGH = 64_000_000


@pytest.fixture(scope="module")
def defs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one pipeline that trains and deploys a model."""
    folder = tmp_path_factory.mktemp("defs")
    declare(folder / "apples", APPLES)
    write_apples(folder / "apples")
    return folder


def _start(home: Home, defs: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "factory_assets.cli", "env"],
        env={**os.environ, "FACTORY_HOME": str(home.path), "FACTORY_DEFS": str(defs)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _await(path: Path, process: "subprocess.Popen[bytes]") -> float:
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.002)
    return time.monotonic()


@pytest.fixture(scope="module")
def span(tmp_path_factory: pytest.TempPathFactory, defs: Path) -> float:
    """The seconds that this machine takes to make the databases of a home."""
    home = Home(tmp_path_factory.mktemp("span") / "home")
    process = _start(home, defs)
    started = _await(home.dagster, process)
    ended = _await(home.path / "prepared.json", process)
    assert process.wait() == 0
    return ended - started


def _kill(home: Home, defs: Path, delay: float) -> None:
    process = _start(home, defs)
    _await(home.dagster, process)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _require_working(home: Home, defs: Path) -> None:
    done = command(home.path, FACTORY_DEFS=str(defs))("run", "apples")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert [file.damage() for file in (*dagster_files(home), mlflow_file(home))] == [None] * 4


def _survives_kills(tmp_path: Path, defs: Path, span: float, kills: int) -> None:
    unfinished = 0
    for kill in range(kills):
        home = Home(tmp_path / f"home{kill}")
        _kill(home, defs, delay=(kill + 0.5) / kills * span)
        unfinished += not (home.path / "prepared.json").exists()
        # A database that is there is complete.
        present = [f for f in (*dagster_files(home), mlflow_file(home)) if f.path.exists()]
        assert [file.damage() for file in present] == [None] * len(present)
        _require_working(home, defs)
    # The kills hit the making of the databases, and not what comes after it.
    assert unfinished > kills / 2


def test_a_first_start_survives_kills(tmp_path: Path, defs: Path, span: float) -> None:
    _survives_kills(tmp_path, defs, span, FEW)


@pytest.mark.long
def test_a_first_start_survives_thirty_kills(tmp_path: Path, defs: Path, span: float) -> None:
    _survives_kills(tmp_path, defs, span, KILLS)


@pytest.mark.parametrize(
    "size", [*SIZES[::4], *(pytest.param(size, marks=pytest.mark.long) for size in SIZES[1:4])]
)
def test_a_first_start_on_a_full_disk_is_one_line(tmp_path: Path, defs: Path, size: int) -> None:
    with small_disk(tmp_path / "disk", size) as disk:
        home = Home(disk.folder / "home")
        refused = command(home.path, FACTORY_DEFS=str(defs))("run", "apples")
        assert refused.returncode == 2, refused.stdout + refused.stderr
        [line] = refused.stderr.splitlines()
        assert line.startswith("error: ")
        assert "free space" in line
        disk.resize(ENOUGH)
        _require_working(home, defs)
