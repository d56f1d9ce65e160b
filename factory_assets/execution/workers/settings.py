"""Who works: how many processes, of which machines, and what each gets of its machine."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from factory_resources.boundary.addresses import split_address
from factory_resources.cores import usable_cores
from factory_resources.errors import SettingError
from factory_resources.sql.engine import MEMORY, THREADS_VARIABLE

if TYPE_CHECKING:
    from factory_assets.execution.workers.room import Needs

WORKERS_VARIABLE = "FACTORY_WORKERS"

_MOST = 256

_CLUSTER = "ray://"

_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z%]+)\s*")


def workers_of(text: str | None = None) -> int:
    """Return how many processes may work at a time; 0 if this process works alone.

    Args:
        text: what was asked for; None for what FACTORY_WORKERS says.

    Raises:
        SettingError: it is neither a number from 1 to 256 nor the address of a cluster.
    """
    name, asked = _asked(text)
    if not asked:
        return 0
    if cluster_of(text):
        return _MOST
    if not (asked.isascii() and asked.isdecimal() and 1 <= int(asked) <= _MOST):
        raise _wrong(name, asked)
    return int(asked)


def cluster_of(text: str | None = None) -> str:
    """Return `HOST:PORT` of the Ray cluster whose nodes work; empty if this machine does.

    Args:
        text: as of `workers_of`.

    Raises:
        SettingError: it is no address.
    """
    name, asked = _asked(text)
    if not asked.startswith(_CLUSTER):
        return ""
    address = asked.removeprefix(_CLUSTER)
    try:
        split_address(address)
    except ValueError as error:
        raise _wrong(name, asked) from error
    return address


def worker_setting(text: str | None = None) -> str:
    """Return what was asked for, as of `workers_of`; empty if this process works alone.

    Raises:
        SettingError: as of `workers_of`.
    """
    return _asked(text)[1] if workers_of(text) else ""


def share_of_machine(workers: int) -> dict[str, str]:
    """Return the environment variables by which each worker takes its part of the machine.

    The results do not depend on them: engines of two threads and of more write the same bytes.
    """
    declared = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(declared) if declared.isdecimal() else usable_cores()
    share = str(max(1, threads // workers))
    return {
        "FACTORY_MEMORY": _part(os.environ.get("FACTORY_MEMORY") or MEMORY, workers),
        "OMP_NUM_THREADS": share,
        THREADS_VARIABLE: share,
    }


def fitting_environments(workers: int, needs: Needs) -> list[dict[str, str]]:
    """Return for each worker the variables by which it takes its part of the machine for fits.

    Weights depend on the number of threads that add them up, so each worker has those that the run
    has, and threads that wait leave the cores to others.
    """
    share = share_of_machine(workers)
    del share["OMP_NUM_THREADS"]
    passive = {"OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "PASSIVE")}
    return [{**share, **passive, **_own_gpus(number, needs.gpus)} for number in range(workers)]


def _own_gpus(number: int, count: int) -> dict[str, str]:
    """Return the variable that gives a worker its own GPUs, if it needs some."""
    if not count:
        return {}
    from factory_resources.metering.machine import gpus

    return {"CUDA_VISIBLE_DEVICES": ",".join(gpus()[number * count : (number + 1) * count])}


def _asked(text: str | None) -> tuple[str, str]:
    """Return the name of the setting that counts, and its value."""
    return ("--workers", text) if text else (WORKERS_VARIABLE, os.environ.get(WORKERS_VARIABLE, ""))


def _wrong(name: str, asked: str) -> SettingError:
    return SettingError(
        f"{name} is {asked!r}",
        remedy=f"set it to a number of processes from 1 to {_MOST}, to {_CLUSTER}HOST:PORT of a "
        "Ray cluster, or leave it out",
    )


def _part(memory: str, workers: int) -> str:
    """Return a part of an amount such as `1.8GB`; what is no amount stays, and is refused later."""
    amount = _AMOUNT.fullmatch(memory)
    return f"{float(amount[1]) / workers:g}{amount[2]}" if amount else memory
