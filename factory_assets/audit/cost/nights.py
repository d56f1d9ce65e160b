"""How often a pipeline runs by its schedule in a year, and with how much carbon."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from factory_assets.cron import ticks
from factory_assets.declarations.carbon_file import green_hours
from factory_assets.green_hours import GreenHours
from factory_assets.spec import Schedule

_YEAR = timedelta(days=365)


@dataclass(frozen=True)
class YearOfNights:
    """The runs of the 365 days from now on."""

    count: int
    by: str
    """What says how many they are."""
    green: GreenHours | None = None
    carbon: float | None = None
    """Mean g CO2e per kWh at the chosen hours; None if no hour is chosen."""
    carbon_then: float | None = None
    """Mean g CO2e per kWh when the windows begin."""


def year_of_nights(schedule: Schedule | None, now: datetime) -> YearOfNights:
    """Return the runs of a year; every day has one if nothing is declared."""
    until = now + _YEAR
    if schedule is None:
        return YearOfNights(365, "no schedule is declared: one run a day")
    if hours := green_hours(schedule):
        chosen = hours.between(now, until)
        count = len(chosen)
        return YearOfNights(
            count,
            f"the best hour within {hours.window} ({hours.timezone})"
            + (f" by {hours.cron}" if hours.cron else ""),
            hours,
            sum(one.carbon for one in chosen) / count if count else None,
            sum(one.carbon_then for one in chosen) / count if count else None,
        )
    assert schedule.cron is not None
    count = 0
    for tick in ticks(schedule.cron, schedule.timezone, now):
        if tick > until:
            break
        count += 1
    return YearOfNights(count, f"the schedule {schedule.cron} ({schedule.timezone})")
