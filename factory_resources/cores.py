"""How many cores this process may use, for work whose results do not depend on their number.

Weights do: numeric libraries add them up with as many threads as `metering.machine` tells.
"""

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path | None = None) -> int:
    """Return how many cores' time this process gets: a container may have a quota of it."""
    # Only Linux tells on which it may run.
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup or CGROUP)
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
