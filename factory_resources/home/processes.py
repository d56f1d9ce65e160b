"""Identify processes: a process number alone is used again after its process has ended."""

from pathlib import Path


def process_identity(pid: int) -> str:
    """Return process number, start in clock ticks and boot ID, which no other process shares."""
    start = process_start(pid)
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        start = None
    return f"{pid} {start} {boot}" if start else f"{pid} gone"


def process_start(pid: int) -> str | None:
    """Return when the process started, in clock ticks since the boot; None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    # The name in brackets may contain blanks; the start is the 20th field after it.
    return stat.rpartition(")")[2].split()[19]
