"""What measured work costs on a machine: this one, or one that is described.

Which machines may be described belongs in `spec.machines`.
"""

from dataclasses import dataclass, replace

from factory_assets.audit.cost.growth import CostRange, total
from factory_assets.spec.machines import Machine

_SECONDS_PER_HOUR, _JOULES_PER_KWH = 3600.0, 3_600_000.0


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
        """Return the work done several times, one after the other: the memory stays the same."""
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
    """Return the cost as it was measured, without money: the price of an hour is not declared."""
    return MachineCosts(work, work.kwh and work.kwh.times(grams_per_kwh))


def on_machine(work: Work, machine: Machine) -> MachineCosts:
    """Return the cost on a described machine.

    The CPU time is divided by the declared speed of a core. As many cores work at a time as here,
    or all that the machine has: more cores than were used make nothing faster. The energy is that
    of the whole machine for this time: its idle power, and the share of the power that its working
    cores add. Work of a GPU cannot be converted to another machine.
    """
    if work.on_gpu or work.seconds is None or work.cpu_seconds is None:
        return MachineCosts(Work(megabytes=work.megabytes))
    cpu = work.cpu_seconds.times(1 / machine.speed)
    seconds = _larger(work.seconds.times(1 / machine.speed), cpu.times(1 / machine.cores))
    per_core = (machine.load_watts - machine.idle_watts) / machine.cores
    idle, working = machine.idle_watts / _JOULES_PER_KWH, per_core / _JOULES_PER_KWH
    kwh = total([seconds.times(idle), cpu.times(working)])
    price = machine.price_per_hour
    return MachineCosts(
        Work(seconds, cpu, work.megabytes, kwh),
        kwh.times(machine.grams_per_kwh),
        None if price is None else seconds.times(price / _SECONDS_PER_HOUR),
    )


def _larger(one: CostRange, other: CostRange) -> CostRange:
    return CostRange(
        max(one.value, other.value), max(one.low, other.low), max(one.high, other.high)
    )
