"""What a computation costs: wall time, CPU time, peak memory, energy."""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_RAPL = Path("/sys/class/powercap")
WATTS_PER_CORE = 8.0
"""Taken for one busy core of a server where the machine does not measure itself."""


@dataclass
class Cost:
    """Filled in when the metered block ends."""

    seconds: float = 0.0
    """Wall time."""
    megabytes: float = 0.0
    """Peak resident memory of the process by then."""
    wh: float = 0.0
    method: str = ""
    """How the energy is known: measured by the processor, or estimated from CPU time."""


@contextmanager
def metered() -> Iterator[Cost]:
    """Measure the block; the processor's own counters count what else the machine does too."""
    cost = Cost()
    joules, cpu, started = _joules(), _cpu_seconds(), time.perf_counter()
    yield cost
    cost.seconds = time.perf_counter() - started
    cost.megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    used = {name: now - joules[name] for name, now in _joules().items() if name in joules}
    if used and min(used.values()) >= 0:
        cost.wh, cost.method = sum(used.values()) / 3600, "RAPL, whole processor"
    else:
        cost.wh = (_cpu_seconds() - cpu) * WATTS_PER_CORE / 3600
        cost.method = f"estimate: CPU time x {WATTS_PER_CORE:g} W"


def _cpu_seconds() -> float:
    """Of this process and its finished children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in used)


def _joules() -> dict[str, float]:
    """Package to the energy that its counter shows; none where there is no counter to be read."""
    found = {}
    for counter in _RAPL.glob("intel-rapl:[0-9]/energy_uj"):
        try:
            found[counter.parent.name] = int(counter.read_text()) / 1e6
        except (OSError, ValueError):
            continue
    return found
