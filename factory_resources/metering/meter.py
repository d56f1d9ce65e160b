"""The cost of a computation: wall time, CPU time, peak memory, energy, carbon.

`energy` finds and reads the machine's counters.
"""

from __future__ import annotations

import os
import resource
import time
from contextlib import ExitStack
from dataclasses import dataclass
from math import isfinite
from typing import Self

from factory_resources.errors import SettingError
from factory_resources.metering.energy import Watch, gpus, zones

WATTS_VARIABLE = "FACTORY_WATTS_PER_CORE"

WATTS_PER_CORE = 8.0
"""Watts of a busy core if the machine has no counters: a server processor's power by its cores, as
150 W / 20 for a Xeon Gold 6248; newer processors with many cores use less."""

GRID_VARIABLE = "FACTORY_GRID_G_PER_KWH"

GRID = 481.0
"""g CO2e per kWh: life-cycle emissions of the world's electricity in 2023, by Ember."""

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Rates:
    """What the operator declares about the machine and its electricity."""

    watts_per_core: float = WATTS_PER_CORE
    grid: float = GRID
    """g CO2e per kWh."""

    @classmethod
    def from_env(cls) -> Self:
        """Read FACTORY_WATTS_PER_CORE and FACTORY_GRID_G_PER_KWH.

        Raises:
            SettingError: one of them is not a number, or is negative.
        """
        return cls(_number(WATTS_VARIABLE, WATTS_PER_CORE), _number(GRID_VARIABLE, GRID))


@dataclass(frozen=True)
class Cost:
    """What was spent since a meter was opened."""

    seconds: float
    """Wall time."""
    cpu_seconds: float
    """CPU time of this process and its descendants."""
    megabytes: float
    """Peak resident memory of the process so far."""
    wh: float
    grid: float
    """g CO2e per kWh."""
    method: str
    """How the energy was determined: measured by the devices, or estimated from CPU time."""

    @property
    def co2e(self) -> float:
        """Grams of CO2e."""
        return self.wh * self.grid / 1000

    def after(self, before: Cost | None) -> Cost:
        """Return the sum with what was spent before; memory is the larger of both."""
        if before is None:
            return self
        return Cost(
            seconds=before.seconds + self.seconds,
            cpu_seconds=before.cpu_seconds + self.cpu_seconds,
            megabytes=max(before.megabytes, self.megabytes),
            wh=before.wh + self.wh,
            grid=self.grid,
            method="; ".join(dict.fromkeys((before.method, self.method))),
        )


class Meter:
    """Measures the cost since it was opened; may be read at any time until it is closed.

    The devices' counters include whatever else the machine does meanwhile.

    Args:
        sharing: how many computations at a time are measured so: each counts its part of what the
            devices used.
    """

    def __init__(self, rates: Rates, *, sharing: int = 1) -> None:
        self._rates, self._sharing = rates, sharing
        self._open = ExitStack()

    def __enter__(self) -> Self:
        devices = self._open.enter_context(gpus())
        self._uncounted = devices.uncounted
        self._processors, self._gpus = Watch(zones()), Watch(devices.counters)
        self._open.callback(self._processors.close)
        # Runs before the library behind the GPU counters is shut down.
        self._open.callback(self._gpus.close)
        self._cpu, self._started = cpu_seconds(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def read(self) -> Cost:
        """Return what was spent so far."""
        cpu = max(0.0, cpu_seconds() - self._cpu)
        measured, graphics = self._processors.joules(), self._gpus.joules()
        watts, sharing = self._rates.watts_per_core, self._sharing
        part = f" / {sharing}" if sharing > 1 else ""
        methods = [
            f"RAPL, whole processor{part}" if measured else f"estimate: CPU time x {watts:g} W"
        ]
        methods += [f"NVML, whole GPU{part}"] if graphics else []
        uncounted = self._uncounted or self._gpus.fault
        methods += [f"GPU not counted ({uncounted})"] if uncounted else []
        return Cost(
            seconds=time.perf_counter() - self._started,
            cpu_seconds=cpu,
            megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            wh=((measured or 0.0) / sharing or cpu * watts) / 3600
            + (graphics or 0.0) / sharing / 3600,
            grid=self._rates.grid,
            method="; ".join(methods),
        )


def cpu_seconds() -> float:
    """Return the CPU time of this process and its descendants, including those still running."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in used) + _descendants("self")


def _descendants(process: str) -> float:
    """Return the CPU seconds of all descendants still running, if the system reports them."""
    total = 0.0
    for thread in _threads(process):
        for child in _text(f"/proc/{process}/task/{thread}/children").split():
            # The name in brackets may contain blanks; the fields are the 14th to 17th of the line.
            fields = _text(f"/proc/{child}/stat").rpartition(")")[2].split()
            total += sum(map(int, fields[11:15])) / _TICKS + _descendants(child)
    return total


def _threads(process: str) -> list[str]:
    """Return the numbers of the process's threads; none if it has ended meanwhile."""
    try:
        return os.listdir(f"/proc/{process}/task")
    except OSError:
        return []


def _text(path: str) -> str:
    """Return the file's text; empty if the process has ended meanwhile."""
    try:
        with open(path) as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(variable: str, default: float) -> float:
    text = os.environ.get(variable)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (isfinite(value) and value >= 0):
        raise SettingError(
            f"{variable} is {text!r}", remedy="set it to a number such as 380, or leave it out"
        )
    return value
