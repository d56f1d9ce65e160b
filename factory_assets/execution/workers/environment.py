"""What a process of the factory runs with: Python, our own code, and all that is installed.

Two machines whose environments are the same compute the same tables. Weights depend on how a
machine calculates, too: see `arithmetic_here`.
"""

import os
import platform
import sys
from collections.abc import Mapping
from hashlib import sha256

from factory_assets.execution.installed import installed_files
from factory_resources.home.home import PROJECT
from factory_resources.metering import machine

_OURS = ("factory_assets", "factory_resources", "schedules")

_COPIES = "/ray/thirdparty_files"
"""Ray's own copies of two libraries; a process that is not Ray's does not see them."""

_OURSELVES = "sovereign-ai-factory"


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
    """Return how this machine calculates, by name: with it, the last bits of weights may differ.

    Args:
        threads: OMP_NUM_THREADS of the process that fits; None if it is not set.
    """
    found = machine.processor("vendor_id", "model name", "cpu family", "model", "flags")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # Of which kind it is does not matter: a GPU that others have, too, has another number.
    return {
        "processor": found or platform.processor(),
        "number of threads": threads or f"one for each of {cores} cores of {os.cpu_count()}",
        "GPU": ", ".join(machine.gpus()),
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
