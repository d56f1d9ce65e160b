"""The schedule whose times are chosen one by one, among more at which it looks.

Which times are chosen is decided elsewhere. Times of cron belong in `automation`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg
from dagster._core.storage.tags import SCHEDULE_NAME_TAG
from dagster._time import get_current_datetime

from schedules.automation import MISSED_TAG, waiting_run
from schedules.missed_times import MissedTimes, last_seen

_INSTANT, _COMING = timedelta(microseconds=1), timedelta(days=6)

_LATE = timedelta(hours=1)
"""After which the hour of a look is over."""


@dataclass(frozen=True)
class ChosenTime:
    """A time at which a run begins."""

    at: datetime
    """UTC."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Of a run that begins then; a run that catches up later does not have them."""


def chosen_schedule(
    job_name: str,
    *,
    crons: Sequence[str],
    timezone: str,
    enabled: bool,
    tags: Mapping[str, str],
    times: Callable[[datetime, datetime], Sequence[ChosenTime]],
) -> dg.ScheduleDefinition:
    """Return the schedule of a pipeline's whole job.

    At each time of `crons` it starts a run if a chosen time has come since the last one: so a run
    that was missed is caught up, however many there were, by one run.

    Args:
        crons: when to look; every chosen time is one of their times.
        times: returns the chosen times after a moment and up to another, which counts itself.
    """
    name = f"{job_name}_schedule"

    def request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now = context.scheduled_execution_time.astimezone(UTC)
        seen = last_seen(context.instance, name, now.timestamp())
        since = now - _INSTANT if seen is None else datetime.fromtimestamp(seen, UTC)
        found = times(since, now)
        if not found:
            coming = times(now, now + _COMING)
            shown = f"{coming[0].at.astimezone(ZoneInfo(timezone)):%A %H:%M}" if coming else "later"
            return dg.SkipReason(f"the next run is at another hour: {shown}")
        if waiting := waiting_run(context.instance, SCHEDULE_NAME_TAG, name):
            return waiting
        if len(found) > 1:
            missed = MissedTimes(len(found), found[0].at.astimezone(ZoneInfo(timezone)))
            context.log.info(f"missed {missed}")
            return dg.RunRequest(tags={**tags, MISSED_TAG: str(missed)})
        [chosen] = found
        # A time that was missed is looked at when the daemon is back.
        is_its_look = _shown(now, timezone) == _shown(chosen.at, timezone)
        is_punctual = is_its_look and get_current_datetime() - now <= _LATE
        return dg.RunRequest(tags={**tags, **chosen.tags} if is_punctual else tags)

    status = dg.DefaultScheduleStatus.RUNNING if enabled else dg.DefaultScheduleStatus.STOPPED
    return dg.ScheduleDefinition(
        name=name,
        job_name=job_name,
        cron_schedule=[*crons],
        execution_timezone=timezone,
        default_status=status,
        tags=dict(tags),
        execution_fn=request,
    )


def _shown(moment: datetime, timezone: str) -> datetime:
    """Return what clocks show, which may be the same twice: then Dagster looks at the second."""
    return moment.astimezone(ZoneInfo(timezone)).replace(tzinfo=None, fold=0)
