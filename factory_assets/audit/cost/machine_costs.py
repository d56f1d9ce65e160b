"""What measured work costs on a machine: this one, or one that is described.

Which machines may be described belongs in `spec.machines`.
"""

from dataclasses import dataclass, replace

from factory_assets.audit.cost.growth import CostRange, total
from factory_assets.spec.machines import Machine

_HOUR, _WATT_SECONDS = 3600.0, 3_600_000.0
"""Seconds of an hour; joules of a kWh."""


@dataclass(frozen=True)
class Work:
    """Some computation as this machine does it; None is not measured."""

    seconds: CostRange | None = None
    """Wall time."""
    cpu_seconds: CostRange | None = None
    megabytes: CostRange | None = None
    kwh: CostRange | None = None
    on_gpu: bool = False
    """Whether a GPU was part of what was measured."""

    def times(self, count: float) -> "Work":
        """Return so much of the same work, one after the other: memory stays."""
        return replace(
            self,
            seconds=self.seconds and self.seconds.times(count),
            cpu_seconds=self.cpu_seconds and self.cpu_seconds.times(count),
            kwh=self.kwh and self.kwh.times(count),
        )


@dataclass(frozen=True)
class MachineCosts:
    """What work costs on a machine; None is not measured or not declared."""

    work: Work
    co2e_g: CostRange | None = None
    money: CostRange | None = None


def on_this_machine(work: Work, grams_per_kwh: float) -> MachineCosts:
    """Return the cost as it was measured; nobody has declared what an hour costs."""
    return MachineCosts(work, work.kwh and work.kwh.times(grams_per_kwh))


def on_machine(work: Work, machine: Machine) -> MachineCosts:
    """Return the cost on a described machine.

    Its cores do the same CPU time, divided by their speed, and as many of them at a time as it was
    here, or all that there are. So more cores than were used make nothing faster. The energy is
    that of the whole machine for that time: what it uses idle, and the share of what its cores add
    by working. What a GPU did cannot be told of another machine.
    """
    if work.on_gpu or work.seconds is None or work.cpu_seconds is None:
        return MachineCosts(Work(megabytes=work.megabytes))
    cpu = work.cpu_seconds.times(1 / machine.speed)
    seconds = _larger(work.seconds.times(1 / machine.speed), cpu.times(1 / machine.cores))
    per_core = (machine.load_watts - machine.idle_watts) / machine.cores
    idle, working = machine.idle_watts / _WATT_SECONDS, per_core / _WATT_SECONDS
    kwh = total([seconds.times(idle), cpu.times(working)])
    price = machine.price_per_hour
    return MachineCosts(
        Work(seconds, cpu, work.megabytes, kwh),
        kwh.times(machine.grams_per_kwh),
        None if price is None else seconds.times(price / _HOUR),
    )


def _larger(one: CostRange, other: CostRange) -> CostRange:
    return CostRange(
        max(one.value, other.value), max(one.low, other.low), max(one.high, other.high)
    )
