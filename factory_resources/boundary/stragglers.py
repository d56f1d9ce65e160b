"""End every process that a command has started, where no namespace of processes does it."""

import ctypes
import os
import signal

_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent ends."""
    ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, *[ctypes.c_ulong(one) for one in (1, 0, 0, 0)])


def kill_children() -> None:
    """Kill all processes below this one, which adopts orphans; return when none is left."""
    while children := _children():
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)


def _children() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _is_child(name)]


def _is_child(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, in parentheses, may contain anything.
            return int(file.read().rpartition(b")")[2].split()[1]) == os.getpid()
    except OSError:
        return False
