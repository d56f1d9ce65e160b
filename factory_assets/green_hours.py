"""Which hour of a window has the electricity with the least carbon, by a declared table.

Pure arithmetic of times. What may be declared belongs in `spec.schedule`, starting runs in
`schedules`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from factory_assets.cron import next_tick

_LONGEST = timedelta(days=366 * 8)
"""Within which an expression of cron fires if it ever does."""

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class ChosenHour:
    """When a run begins, and when it would have begun without the table."""

    at: datetime
    """UTC."""
    carbon: float
    """g CO2e per kWh at that time."""
    window_began: datetime
    """UTC."""
    carbon_then: float
    """g CO2e per kWh when the window began."""


@dataclass(frozen=True)
class GreenHours:
    """A window of every day, and the carbon of each hour of the week.

    A run begins on the minute with which the window begins, at an hour of the window that clocks
    show; of one that they show twice, the first counts. Of several hours with the least carbon it
    is the earliest.
    """

    window: str
    """Such as `22:00-06:00`, by the clocks of `timezone`."""
    timezone: str
    cron: str | None
    """Which windows: those that contain one of its times, or are the next after one. None: all."""
    carbon: tuple[float, ...]
    """g CO2e per kWh of the 168 hours of a week, from Monday 0:00 on."""
    carbon_timezone: str
    source: str
    """Where these numbers come from."""

    @property
    def crons(self) -> tuple[str, ...]:
        """The expressions of cron that fire at the hours of the window, one for each.

        Of an hour that clocks show twice, Dagster takes the first or the second.
        """
        hours = _hourly(date(2000, 1, 3), *self._ends())
        return tuple(f"{one.minute} {one.hour} * * *" for one in hours)

    def next(self, after: datetime) -> ChosenHour | None:
        """Return the first chosen hour after a moment; None if there is none in eight years."""
        return next(self._chosen(after, after + _LONGEST), None)

    def between(self, after: datetime, until: datetime) -> list[ChosenHour]:
        """Return the chosen hours after a moment and up to another, which counts itself."""
        return [*self._chosen(after, until)]

    def window_at(self, moment: datetime) -> date:
        """Return the day of the window that contains a moment, or of the last one before it."""
        day = moment.astimezone(ZoneInfo(self.timezone)).date()
        return day if self._span(day)[0] <= moment else day - _DAY

    def _chosen(self, after: datetime, until: datetime) -> Iterator[ChosenHour]:
        # The window of the day before may last until now, and its hour may be still to come.
        day = after.astimezone(ZoneInfo(self.timezone)).date() - 2 * _DAY
        while self._span(day)[0] <= until:
            found = self._in_window(day)
            if after < found.at <= until and self._is_wanted(day):
                yield found
            day = self._following(day)

    def _following(self, day: date) -> date:
        """Return the next day on which a window may be wanted."""
        if self.cron is None:
            return day + _DAY
        tick = next_tick(self.cron, self.timezone, self._span(day)[1] - _INSTANT)
        if tick is None:
            return day + _LONGEST
        return max(day + _DAY, tick.astimezone(ZoneInfo(self.timezone)).date() - _DAY)

    def _is_wanted(self, day: date) -> bool:
        if self.cron is None:
            return True
        since, end = self._span(day - _DAY)[1], self._span(day)[1]
        tick = next_tick(self.cron, self.timezone, since - _INSTANT)
        return tick is not None and tick < end

    def _in_window(self, day: date) -> ChosenHour:
        began = self._span(day)[0]
        hours = [_moment(one, self.timezone) for one in _hourly(day, *self._ends())]
        shown = [one for one in hours if one is not None] or [began]
        carbon, at = min((self._carbon_at(one), one) for one in shown)
        return ChosenHour(at, carbon, began, self._carbon_at(began))

    def _span(self, day: date) -> tuple[datetime, datetime]:
        """Return when the window of a day begins and ends, in UTC."""
        begin, end = self._ends()
        last = day if begin < end else day + _DAY
        zone = ZoneInfo(self.timezone)
        first, until = datetime.combine(day, begin, zone), datetime.combine(last, end, zone)
        return first.astimezone(UTC), until.astimezone(UTC)

    def _ends(self) -> tuple[time, time]:
        begin, _, end = self.window.partition("-")
        return time.fromisoformat(begin), time.fromisoformat(end)

    def _carbon_at(self, moment: datetime) -> float:
        local = moment.astimezone(ZoneInfo(self.carbon_timezone))
        return self.carbon[local.weekday() * 24 + local.hour]


def _hourly(day: date, begin: time, end: time) -> Iterator[datetime]:
    """Yield the times of a window, an hour apart, as clocks show them: without a zone."""
    one = datetime.combine(day, begin)
    last = datetime.combine(day if begin < end else day + _DAY, end)
    while one < last:
        yield one
        one += _HOUR


def _moment(local: datetime, timezone: str) -> datetime | None:
    """Return when clocks show a time first, in UTC; None if they skip it."""
    moment = local.replace(tzinfo=ZoneInfo(timezone)).astimezone(UTC)
    shown = moment.astimezone(ZoneInfo(timezone)).replace(tzinfo=None, fold=0)
    return moment if shown == local else None
