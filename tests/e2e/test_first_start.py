"""Many first starts at once make one whole home; after one that was killed, or that filled the
disk, the next one works."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import IO

import pytest

from factory_resources.home.home import Home
from factory_resources.home.sqlite_files import dagster_files, mlflow_file
from tests.commands import forked
from tests.disks import small_disk
from tests.ledger import problems
from tests.long_run import in_long
from tests.pipelines import APPLES, declare, write_apples
from tests.running_factory import RunningFactory, up_options

pytestmark = pytest.mark.slow

KILLS, FEW = 30, 3
TWO_EACH = ("up", "run", "run", "up")
MANY = ("up", "run", "run", "run") * 5
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


def _start(
    home: Home, defs: Path, *arguments: str, output: int | IO[bytes] = subprocess.DEVNULL
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "factory_assets.cli", *arguments],
        env={**os.environ, "FACTORY_HOME": str(home.path), "FACTORY_DEFS": str(defs)},
        stdout=output,
        stderr=subprocess.STDOUT,
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
    process = _start(home, defs, "env")
    started = _await(home.dagster, process)
    ended = _await(home.path / "prepared.json", process)
    assert process.wait() == 0
    return ended - started


def _kill(home: Home, defs: Path, delay: float) -> None:
    process = _start(home, defs, "env")
    _await(home.dagster, process)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _require_working(home: Home, defs: Path) -> None:
    done = forked(home.path, FACTORY_DEFS=str(defs))("run", "apples")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert problems(home) == []
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


@pytest.mark.long
def test_a_first_start_survives_kills(tmp_path: Path, defs: Path, span: float) -> None:
    _survives_kills(tmp_path, defs, span, FEW)


@pytest.mark.long
def test_a_first_start_survives_thirty_kills(tmp_path: Path, defs: Path, span: float) -> None:
    _survives_kills(tmp_path, defs, span, KILLS)


@pytest.fixture(scope="module")
def lasts(tmp_path_factory: pytest.TempPathFactory, defs: Path) -> Callable[[str], float]:
    """The seconds that a whole first start takes on this machine, by command."""

    @cache
    def measured(name: str) -> float:
        home = Home(tmp_path_factory.mktemp(name) / "home")
        began = time.monotonic()
        process = _start(home, defs, *_arguments(name), output=subprocess.PIPE)
        assert process.stdout is not None
        if name == "run":
            process.communicate()
        else:
            assert process.stdout.readline().startswith(b"factory ")
        seconds = time.monotonic() - began
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        return seconds

    return measured


def _arguments(name: str) -> list[str]:
    return up_options() if name == "up" else ["run", "apples"]


@pytest.mark.parametrize("kills", [1, *in_long([KILLS])])
def test_a_whole_first_start_survives_kills(
    tmp_path: Path, defs: Path, lasts: Callable[[str], float], kills: int
) -> None:
    for kill in range(kills):
        home, name = Home(tmp_path / f"home{kill}"), ("run", "up")[kill % 2]
        process = _start(home, defs, *_arguments(name))
        time.sleep((kill + 0.5) / kills * lasts(name))
        # Of `up` only the process itself: its services have to notice.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if name == "up":
            RunningFactory(home.path, {"FACTORY_DEFS": str(defs)}).stop()
        _require_working(home, defs)


@pytest.fixture
def processes() -> "Iterator[list[subprocess.Popen[bytes]]]":
    """What a test starts; what is left of it is killed in the end."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.mark.long
@pytest.mark.parametrize("names", [TWO_EACH, MANY], ids=len)
def test_first_starts_at_once_make_one_whole_home(
    tmp_path: Path, defs: Path, names: tuple[str, ...], processes: "list[subprocess.Popen[bytes]]"
) -> None:
    home = Home(tmp_path / "home")
    outputs = [tmp_path / f"output{number}" for number in range(len(names))]
    for name, output in zip(names, outputs, strict=True):
        with output.open("wb") as file:
            processes.append(_start(home, defs, *_arguments(name), output=file))
    started = [*zip(names, processes, outputs, strict=True)]
    for name, process, output in started:
        if name == "run":
            assert process.wait() == 0, output.read_text()
    # One of those that serve does so, and the others have said that it does.
    ups = [(process, output) for name, process, output in started if name == "up"]
    [(serving, output)] = _one_left(ups)
    while not output.read_text().startswith("factory "):
        assert serving.poll() is None, output.read_text()
        time.sleep(0.05)
    refused = [(process.wait(), said.read_text()) for process, said in ups if process != serving]
    assert [code for code, _ in refused] == [2] * len(refused), refused
    for _, text in refused:
        assert text.startswith("error: ")
        assert "this factory is already running" in text
        assert len(text.splitlines()) == 1
    assert "Traceback" not in "".join(said.read_text() for said in outputs)
    _require_working(home, defs)
    serving.send_signal(signal.SIGINT)
    assert serving.wait() == 0, output.read_text()
    verified = forked(home.path, FACTORY_DEFS=str(defs))("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def _one_left(
    processes: "list[tuple[subprocess.Popen[bytes], Path]]",
) -> "list[tuple[subprocess.Popen[bytes], Path]]":
    """Wait until all but one have ended, and return that one."""
    deadline = time.monotonic() + 300
    while len(left := [one for one in processes if one[0].poll() is None]) > 1:
        assert time.monotonic() < deadline, [output.read_text() for _, output in left]
        time.sleep(0.05)
    return left


@pytest.mark.parametrize("size", [SIZES[-1], *in_long(SIZES[:-1])])
def test_a_first_start_on_a_full_disk_is_one_line(tmp_path: Path, defs: Path, size: int) -> None:
    with small_disk(tmp_path / "disk", size) as disk:
        home = Home(disk.folder / "home")
        refused = forked(home.path, FACTORY_DEFS=str(defs))("run", "apples")
        assert refused.returncode == 2, refused.stdout + refused.stderr
        [line] = refused.stderr.splitlines()
        assert line.startswith("error: ")
        assert "free space" in line
        disk.resize(ENOUGH)
        _require_working(home, defs)
