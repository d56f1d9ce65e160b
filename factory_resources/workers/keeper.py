"""The process above the worker of a run: nothing that a run has started outlives it.

It runs as a script without the packages of the factory, so that it starts at once and stays small.
Its standard input is a pipe from the launcher: a byte lets the worker start; its end means that the
launcher is gone, also by a kill. When the worker has ended, all that it left behind is killed.
"""

import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

GRACE = 10.0
"""Seconds that a worker has to end after SIGTERM, until it is killed."""

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def main(command: Sequence[str]) -> int:
    """Run the command until it ends or is to be stopped; return its exit code."""
    if sys.platform == "linux":
        # Processes whose parent has died become children of this one.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(waking)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _wake)
    if not os.read(0, 1):
        return 1
    worker = _start(command)
    code = _wait_for(worker, woken)
    _kill_children()
    return code


def _wake(*_: object) -> None:
    """Let the number of the signal be written to the pipe, which only a handler does."""


def _start(command: Sequence[str]) -> int:
    keeper, worker = os.getpid(), os.fork()
    if worker:
        return worker
    try:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == keeper:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.execvp(command[0], [*command])
    finally:
        os._exit(127)


def _wait_for(worker: int, woken: int) -> int:
    """Wait for the worker, stop it when asked, and return its exit code."""
    poll = select.poll()
    poll.register(woken, select.POLLIN)
    poll.register(0, select.POLLIN)
    deadline = None
    while True:
        for pid, status in _ended():
            if pid == worker:
                return os.waitstatus_to_exitcode(status)
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if left == 0:
            os.kill(worker, signal.SIGKILL)
            left = None
        ready = {file for file, _ in poll.poll(None if left is None else left * 1000)}
        signals = os.read(woken, 64) if woken in ready else b""
        asked = {signal.SIGTERM, signal.SIGINT} & {*signals}
        if deadline is None and (asked or 0 in ready):
            os.kill(worker, signal.SIGTERM)
            deadline = time.monotonic() + GRACE
        if 0 in ready:
            poll.unregister(0)


def _ended() -> Iterator[tuple[int, int]]:
    """Yield number and status of each child that has ended; among them are adopted ones."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            yield ended


def _kill_children() -> None:
    """Kill all children until there are none: a killed one leaves its own children here."""
    with suppress(ChildProcessError):
        while True:
            for pid in _children():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)


def _children() -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # The name in brackets may contain blanks; the parent is the second field after it.
            fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
            if int(fields[1]) == os.getpid() and fields[0] != b"Z":
                yield int(folder.name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
