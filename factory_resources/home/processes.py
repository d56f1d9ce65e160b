"""Identify processes: a process number alone is used again after its process has ended.

Inside a boundary, process numbers are other ones than outside, and nobody else's process is seen.
There a process goes by the identity of the boundary's process outside, which lives as long.
"""

import os

OUTSIDE_VARIABLE = "FACTORY_BOUNDARY_PROCESS"
"""Environment variable with the identity of the process outside; only a boundary sets it."""


def process_identity(pid: int) -> str:
    """Return process number, start in clock ticks and boot ID, which no other process shares."""
    start = process_start(pid)
    try:
        boot = _read("/proc/sys/kernel/random/boot_id").strip()
    except OSError:
        start = None
    return f"{pid} {start} {boot}" if start else f"{pid} gone"


def own_identity() -> str:
    """Return the identity by which other processes, outside of a boundary too, know this one."""
    return os.environ.get(OUTSIDE_VARIABLE) or process_identity(os.getpid())


def process_number(identity: str) -> int:
    """Return the number in an identity."""
    return int(identity.split()[0])


def is_alive(identity: str) -> bool:
    """Whether the process of that identity exists and has not ended.

    Inside a boundary, where no other process is seen, each counts as alive.
    """
    if OUTSIDE_VARIABLE in os.environ:
        return True
    pid = process_number(identity)
    return process_identity(pid) == identity and _state(pid) != "Z"


def process_start(pid: int) -> str | None:
    """Return when the process started, in clock ticks since the boot; None if there is none."""
    try:
        stat = _read(f"/proc/{pid}/stat")
    except OSError:
        return None
    # The name in brackets may contain blanks; the start is the 20th field after it.
    return stat.rpartition(")")[2].split()[19]


def _state(pid: int) -> str:
    """Return the state of a process, such as `Z` of one that has ended; empty if unknown."""
    try:
        stat = _read(f"/proc/{pid}/stat")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[0]


def _read(path: str) -> str:
    # A boundary starts with this module, and `pathlib` would take it 10 ms.
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
