"""Nothing that a worker has started outlives it, and no worker outlives what launched it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from factory_resources.workers import keeper

WORKER = """
import subprocess, time
child = subprocess.Popen(["sleep", "600"], start_new_session=True).pid
# A child of a child whose parent has gone, in a session of its own.
detach = "setsid sleep 600 > /dev/null 2>&1 & echo $!"
left = subprocess.run(["sh", "-c", detach], capture_output=True, text=True).stdout.strip()
print(child, left, flush=True)
time.sleep(600)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""
IMPATIENT = """
import sys
from factory_resources.workers import keeper
keeper.GRACE = 0.1
sys.exit(keeper.main(sys.argv[1:]))
"""


class Kept:
    """A keeper with a worker that has printed its first line."""

    def __init__(self, worker: str, *, impatient: bool = False) -> None:
        script = ["-c", IMPATIENT] if impatient else ["-I", "-S", keeper.__file__]
        self.process = subprocess.Popen(
            [sys.executable, *script, sys.executable, "-c", worker],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin
        assert self.process.stdout
        self.stdin = self.process.stdin
        self.stdin.write("\n")
        self.stdin.flush()
        self.line = self.process.stdout.readline()
        [self.worker] = [
            child
            for child in psutil.Process(self.process.pid).children()
            # One that has ended has none.
            if child.cmdline()[:1] == [sys.executable]
        ]


@pytest.fixture
def started() -> Iterator[list[Kept]]:
    """What a test has started; it is ended afterwards."""
    kept: list[Kept] = []
    yield kept
    for one in kept:
        with one.process:
            one.process.kill()


def await_end(process: psutil.Process) -> None:
    """Wait until a process has ended that is not a child of this one."""
    process.wait(timeout=60)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_dead_worker_has_started_is_killed(
    started: list[Kept], number: signal.Signals
) -> None:
    started.append(kept := Kept(WORKER))
    others = [psutil.Process(int(pid)) for pid in kept.line.split()]
    assert len(others) == 2
    kept.worker.send_signal(number)
    assert kept.process.wait(60) != 0
    assert not any(other.is_running() for other in others)


def test_a_worker_ends_with_its_launcher(started: list[Kept]) -> None:
    started.append(kept := Kept(WORKER))
    others = [psutil.Process(int(pid)) for pid in kept.line.split()]
    kept.stdin.close()
    kept.process.wait(60)
    assert not kept.worker.is_running()
    assert not any(other.is_running() for other in others)


def test_a_worker_is_asked_to_end_and_then_killed(started: list[Kept]) -> None:
    started.append(kept := Kept(STUBBORN, impatient=True))
    kept.process.terminate()
    assert kept.process.wait(60) != 0
    assert not kept.worker.is_running()


def test_a_worker_ends_with_its_keeper(started: list[Kept]) -> None:
    started.append(kept := Kept(STUBBORN))
    kept.process.kill()
    await_end(kept.worker)


def test_without_its_launcher_a_worker_does_not_start(tmp_path: Path) -> None:
    made = tmp_path / "made"
    command = [sys.executable, "-I", "-S", keeper.__file__, "touch", str(made)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 1
    assert not made.exists()


@pytest.mark.parametrize(("code", "returned"), [("raise SystemExit(3)", 3), ("", 0)])
def test_the_exit_code_of_the_worker_is_returned(code: str, returned: int) -> None:
    command = [sys.executable, "-I", "-S", keeper.__file__, sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as kept:
        assert kept.stdin
        # It stays open: its end would stop the worker.
        kept.stdin.write(b"\n")
        kept.stdin.flush()
        assert kept.wait(60) == returned
