"""Identify processes: a process number alone is used again after its process has ended.

Inside a boundary, process numbers are other ones than outside, and nobody else's process is seen.
There a process goes by the identity of the boundary's process outside, which lives as long.

What has a pod of its own, such as a run, goes by the name of that pod: other pods see none of its
processes. Whether it lives is known by the locks that it holds.
"""

import os

OUTSIDE_VARIABLE = "FACTORY_BOUNDARY_PROCESS"
"""Environment variable with the identity of the process outside; only a boundary sets it."""

POD_VARIABLE = "FACTORY_POD"
"""Environment variable with the name of the pod, in every pod but that of `factory up`."""

_POD = "pod"
"""The second word of the identity of a pod."""


def pod_lock(name: str) -> str:
    """Return the name of the lock that the pod of a run holds as long as it lives."""
    return f"pod.{name}"


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
    if pod := os.environ.get(POD_VARIABLE):
        return f"{pod} {_POD}"
    return os.environ.get(OUTSIDE_VARIABLE) or process_identity(os.getpid())


def process_number(identity: str) -> int:
    """Return the number in an identity that is not that of a pod."""
    return int(identity.split()[0])


def is_alive(identity: str) -> bool:
    """Whether the process of that identity exists and has not ended.

    One that is not seen counts as alive: another one inside a boundary, or in another pod.
    """
    if OUTSIDE_VARIABLE in os.environ or POD_VARIABLE in os.environ:
        return True
    if identity.endswith(f" {_POD}"):
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
