"""Which process is which: a number alone is used again after its process is gone."""

from pathlib import Path


def process_identity(pid: int) -> str:
    """Process, its start in clock ticks and the boot: a number used again is another process."""
    start = process_start(pid)
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        start = None
    return f"{pid} {start} {boot}" if start else f"{pid} gone"


def process_start(pid: int) -> str | None:
    """When the process started, in clock ticks since the boot; None where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    # The name in brackets may hold blanks; the start is the 20th field after it.
    return stat.rpartition(")")[2].split()[19]
