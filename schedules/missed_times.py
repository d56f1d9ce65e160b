"""The times of a schedule that passed while no daemon ran; one run catches up for all of them.

Dagster starts that run for the last of these times, and does not say how many they were.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import (
    InstigatorState,
    ScheduleInstigatorData,
    TickStatus,
)
from dagster._utils.schedules import schedule_execution_time_iterator

_MOST = 10_000
"""Times that are counted; a schedule of every minute has passed them after a week."""

_LOOKED = [status for status in TickStatus if status is not TickStatus.FAILURE]


@dataclass(frozen=True)
class MissedTimes:
    """The times that one run catches up for, its own among them."""

    count: int
    first: datetime
    """In the time zone of the schedule."""

    def __str__(self) -> str:
        number = f"{self.count}{'+' * (self.count == _MOST)}"
        return f"{number} times since {self.first:%Y-%m-%d %H:%M}, caught up once"


def missed_times(
    context: dg.ScheduleEvaluationContext, name: str, cron: str, zone: str
) -> MissedTimes | None:
    """Return the times since the last one that was seen to; None unless there is more than one."""
    now = context.scheduled_execution_time.timestamp()
    last = last_seen(context.instance, name, now)
    if last is None:
        return None
    # The schedule may have had other times then.
    last = max([last, *_passed(context.instance, name, now)])
    times = schedule_execution_time_iterator(last, cron, zone)
    since = (time for time in takewhile(lambda time: time.timestamp() <= now, times))
    missed = [*islice((time for time in since if time.timestamp() > last), _MOST)]
    if len(missed) < 2:
        return None
    return MissedTimes(len(missed), missed[0].astimezone(ZoneInfo(zone)))


def last_seen(instance: dg.DagsterInstance, name: str, before: float) -> float | None:
    """Return when the schedule was switched on or last looked, in seconds since 1970.

    None if it did neither before that time. A look that failed started no run, and does not count.
    """
    return max(_seen(instance, name, before), default=None)


def _passed(instance: dg.DagsterInstance, name: str, before: float) -> Iterator[float]:
    """Yield until when Dagster knows that no time was due; it also goes on after a failed look."""
    for state in _states(instance, name):
        data, ids = state.instigator_data, (state.instigator_origin_id, state.selector_id)
        last = instance.get_ticks(*ids, before=before, limit=1)
        has_failed = any(tick.status is TickStatus.FAILURE for tick in last)
        passed = data.last_iteration_timestamp if isinstance(data, ScheduleInstigatorData) else None
        if passed is not None and passed < before and not has_failed:
            yield passed


def _states(instance: dg.DagsterInstance, name: str) -> list[InstigatorState]:
    states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    return [state for state in states if state.instigator_name == name]


def _seen(instance: dg.DagsterInstance, name: str, before: float) -> Iterator[float]:
    """Yield when the schedule was switched on, and when it last looked."""
    for state in _states(instance, name):
        data = state.instigator_data
        if isinstance(data, ScheduleInstigatorData) and data.start_timestamp is not None:
            yield data.start_timestamp
        ids = state.instigator_origin_id, state.selector_id
        for tick in instance.get_ticks(*ids, before=before, limit=1, statuses=_LOOKED):
            yield tick.timestamp
