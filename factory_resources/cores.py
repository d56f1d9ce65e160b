"""How many cores this process may use.

Trainings take all of `cores`, since weights depend on the number of threads that add them up; other
work takes `usable_cores`.
"""

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def cores() -> int:
    """Return how many cores this process may use; only Linux tells, elsewhere all of them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cores(cgroup: Path | None = None) -> int:
    """Return how many cores' time this process gets: a container may have a quota of it."""
    own, quota = cores(), _quota(cgroup or CGROUP)
    return own if quota is None else max(1, min(own, -(-quota[0] // quota[1])))


def _quota(cgroup: Path) -> tuple[int, int] | None:
    """Return the quota and its period, of either version of control groups; None without one."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((cgroup / name).read_text() for name in names).split()
        except (OSError, ValueError):
            continue
        if quota.isdecimal() and period.isdecimal() and int(period):
            return int(quota), int(period)
    return None
