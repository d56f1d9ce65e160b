"""What this machine has: memory, GPUs, and which processor.

What is in use at the moment is not measured here; `meter` counts what was used.
"""

import os
from importlib.util import find_spec
from pathlib import Path

from factory_resources.cores import CGROUP
from factory_resources.metering.energy import DRIVERS, gpu_names

_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
"""Files with the limit of a container, of either version of control groups."""


def memory_bytes(cgroup: Path = CGROUP) -> int:
    """Return the bytes of memory of the machine, or of the container that this process is in."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(physical, *(_limit(cgroup / name, physical) for name in _LIMITS))


def gpus() -> list[str]:
    """Return the UUIDs of the NVIDIA GPUs that this process may use; none without a driver."""
    if not any(driver.exists() for driver in DRIVERS) or find_spec("pynvml") is None:
        return []
    import pynvml

    return gpu_names(pynvml, os.environ.get("CUDA_VISIBLE_DEVICES"))


def processor() -> dict[str, str]:
    """Return the fields of the first processor in /proc/cpuinfo; none if there is no such file."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _limit(path: Path, otherwise: int) -> int:
    try:
        text = path.read_text().strip()
    except OSError:
        return otherwise
    return int(text) if text.isdecimal() else otherwise
