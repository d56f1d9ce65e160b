"""What a process of the factory runs with: Python, our own code, and all that is installed.

Two machines whose environments are the same compute the same tables. The last bits of weights
depend on the machine, too: see `arithmetic_here`.
"""

import json
import os
import platform
import sys
from collections.abc import Mapping
from hashlib import sha256

from factory_assets.execution.installed import installed_files
from factory_resources.cores import cores
from factory_resources.home.home import PROJECT
from factory_resources.metering import machine

_OURS = ("factory_assets", "factory_resources", "schedules")

_COPIES = "/ray/thirdparty_files"
"""Ray's own copies of two libraries; a process that is not Ray's does not see them."""

_OURSELVES = "sovereign-ai-factory"

THREADS = "OMP_NUM_THREADS"

_STEERING = ("OMP_", "OPENBLAS_", "MKL_", "ATEN_", "ONEDNN_", "DNNL_", "NPY_")
"""How variables begin that tell numeric libraries how to calculate."""

_ANYHOW = frozenset({THREADS, "OMP_WAIT_POLICY"})
"""Those of them that are set for each fit."""

_OF_ONE_CORE = frozenset(
    {
        *("processor", "core id", "physical id", "apicid", "initial apicid"),
        *("cpu MHz", "bogomips", "BogoMIPS", "microcode"),
    }
)
"""Fields of /proc/cpuinfo that differ among cores, or were measured, and change no result."""


def environment_here() -> dict[str, str]:
    """Return what there is by name: its version, or the digest of its files."""
    folders = [folder for folder in sys.path if not folder.endswith(_COPIES)]
    # Installed to be edited, its metadata names a folder of its machine.
    installed = {name: one for name, one in installed_files(folders).items() if name != _OURSELVES}
    return {
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "the factory": _own_code(),
        **installed,
    }


def arithmetic_here(threads: str | None) -> dict[str, str]:
    """Return what decides on the last bits of weights, by name.

    Machines for which it is the same fit the same model, to the bit.

    Args:
        threads: OMP_NUM_THREADS of the process that fits; None if it is not set.
    """
    fields = {name: one for name, one in machine.processor().items() if name not in _OF_ONE_CORE}
    steering = {name for name in os.environ if name.startswith(_STEERING)} - _ANYHOW
    return {
        # One that tells nothing of itself is like no other.
        "processor": json.dumps(fields) if fields else platform.node(),
        "number of threads": threads or f"{cores()} of {os.cpu_count()}",
        # Each GPU has a number of its own: fits on one stay where it is.
        "GPU": ", ".join(machine.gpus()),
        **{name: os.environ[name] for name in sorted(steering)},
    }


def differing(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """Return the names of what is not the same in both environments."""
    return [name for name in {**here, **there} if here.get(name) != there.get(name)]


def _own_code() -> str:
    found = sha256()
    for path in sorted(path for name in _OURS for path in (PROJECT / name).rglob("*.py")):
        found.update(path.relative_to(PROJECT).as_posix().encode())
        found.update(sha256(path.read_bytes()).digest())
    return found.hexdigest()
