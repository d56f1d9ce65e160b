"""The schedule of a pipeline: at times of cron, or at the hour with the least carbon.

Which hour that is belongs in `green_hours`.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import dagster as dg

from factory_assets.components.run_context import CARBON_BEFORE_TAG, CARBON_TAG, REHASH_TAG
from factory_assets.declarations.carbon_file import green_hours
from factory_assets.green_hours import GreenHours
from factory_assets.spec import Pipeline
from schedules.automation import schedule_for
from schedules.chosen_times import ChosenTime, chosen_schedule

_TAGS = {REHASH_TAG: "files"}
"""Nobody waits for a scheduled run, so it need not trust the size and times of a file."""


def schedules_of(pipeline: Pipeline) -> list[dg.ScheduleDefinition]:
    """Return the schedule that the pipeline declares; none if it declares none."""
    declared = pipeline.spec.schedule
    if declared is None:
        return []
    name, zone, enabled = pipeline.name, declared.timezone, declared.enabled
    if hours := green_hours(declared):
        crons, times = hours.crons, _times(hours)
        return [
            chosen_schedule(
                name, crons=crons, timezone=zone, enabled=enabled, tags=_TAGS, times=times
            )
        ]
    assert declared.cron is not None
    return [schedule_for(name, cron=declared.cron, timezone=zone, enabled=enabled, tags=_TAGS)]


def _times(hours: GreenHours) -> Callable[[datetime, datetime], Sequence[ChosenTime]]:
    def times(after: datetime, until: datetime) -> Sequence[ChosenTime]:
        return [
            ChosenTime(
                one.at,
                {CARBON_TAG: f"{one.carbon:g}", CARBON_BEFORE_TAG: f"{one.carbon_then:g}"},
            )
            for one in hours.between(after, until)
        ]

    return times
