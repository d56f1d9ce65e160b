"""What a computation costs: wall time, CPU time, peak memory, energy, carbon.

Which counters a machine has is `energy`'s business.
"""

from __future__ import annotations

import os
import resource
import time
from contextlib import ExitStack
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Self

from factory_resources.errors import SettingError
from factory_resources.metering.energy import Watch, gpus, zones

WATTS_VARIABLE = "FACTORY_WATTS_PER_CORE"

WATTS_PER_CORE = 8.0
"""Of one busy core where the machine does not measure itself: what a server processor may draw,
divided by its cores, as 150 W / 20 of a Xeon Gold 6248; newer ones with many cores take less."""

GRID_VARIABLE = "FACTORY_GRID_G_PER_KWH"

GRID = 481.0
"""g CO2e a kWh: the world's electricity in 2023, over its life cycle, by Ember."""

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Rates:
    """What the operator declares of the machine and its electricity."""

    watts_per_core: float = WATTS_PER_CORE
    grid: float = GRID
    """g CO2e a kWh."""

    @classmethod
    def from_env(cls) -> Self:
        """Those of FACTORY_WATTS_PER_CORE and FACTORY_GRID_G_PER_KWH.

        Raises:
            SettingError: when one is no number, or below zero.
        """
        return cls(_number(WATTS_VARIABLE, WATTS_PER_CORE), _number(GRID_VARIABLE, GRID))


@dataclass(frozen=True)
class Cost:
    """What was spent since a meter was opened."""

    seconds: float
    """Wall time."""
    cpu_seconds: float
    """Of this process and all that it started."""
    megabytes: float
    """Peak resident memory of the process by then."""
    wh: float
    grid: float
    """g CO2e a kWh."""
    method: str
    """How the energy is known: measured by the devices, or estimated from CPU time."""

    @property
    def co2e(self) -> float:
        """Grams."""
        return self.wh * self.grid / 1000


class Meter:
    """Counts from its opening; may be read at any time until it is closed.

    The devices' own counters count what else the machine does meanwhile.
    """

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._open = ExitStack()

    def __enter__(self) -> Self:
        found = self._open.enter_context(gpus())
        self._uncounted = found.uncounted
        self._processors, self._gpus = Watch(zones()), Watch(found.counters)
        self._open.callback(self._processors.close)
        # Before the library behind its counters is shut down.
        self._open.callback(self._gpus.close)
        self._cpu, self._started = cpu_seconds(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def read(self) -> Cost:
        """What was spent by now."""
        cpu = max(0.0, cpu_seconds() - self._cpu)
        measured, graphics = self._processors.joules(), self._gpus.joules()
        watts = self._rates.watts_per_core
        methods = ["RAPL, whole processor" if measured else f"estimate: CPU time x {watts:g} W"]
        methods += ["NVML, whole GPU"] if graphics else []
        methods += [f"GPU not counted ({self._uncounted})"] if self._uncounted else []
        return Cost(
            seconds=time.perf_counter() - self._started,
            cpu_seconds=cpu,
            megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            wh=((measured or cpu * watts) + (graphics or 0.0)) / 3600,
            grid=self._rates.grid,
            method="; ".join(methods),
        )


def cpu_seconds() -> float:
    """Of this process and all that it started, those that still run among them."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in used) + _of_children(Path("/proc/self"))


def _of_children(process: Path) -> float:
    """The CPU seconds of those processes below it that still run, where the system tells them."""
    total = 0.0
    for thread in process.glob("task/*/children"):
        for child in _text(thread).split():
            # The name in brackets may hold blanks; the fields are the 14th to 17th of the line.
            fields = _text(Path(f"/proc/{child}/stat")).rpartition(")")[2].split()
            total += sum(map(int, fields[11:15])) / _TICKS + _of_children(Path(f"/proc/{child}"))
    return total


def _text(path: Path) -> str:
    """Empty where the process has gone meanwhile."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(variable: str, otherwise: float) -> float:
    text = os.environ.get(variable)
    if not text:
        return otherwise
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (isfinite(value) and value >= 0):
        raise SettingError(
            f"{variable} is {text!r}", remedy="set it to a number such as 380, or leave it out"
        )
    return value
