"""The schedule of a pipeline: at times of cron, or at the hour with the least carbon.

Which hour that is belongs in `green_hours`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime

import dagster as dg
from dagster._time import get_current_datetime

from factory_assets.components.run_context import CARBON_BEFORE_TAG, CARBON_TAG, REHASH_TAG
from factory_assets.declarations.carbon_file import green_hours
from factory_assets.declarations.loader import load_pipeline
from factory_assets.green_hours import GreenHours
from factory_assets.spec import Pipeline
from factory_resources.errors import FactoryError
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
        crons, times = hours.crons, _times(pipeline, hours)
        return [
            chosen_schedule(
                name, crons=crons, timezone=zone, enabled=enabled, tags=_TAGS, times=times
            )
        ]
    assert declared.cron is not None
    return [schedule_for(name, cron=declared.cron, timezone=zone, enabled=enabled, tags=_TAGS)]


def _times(
    pipeline: Pipeline, loaded: GreenHours
) -> Callable[[datetime, datetime], Sequence[ChosenTime]]:
    """Return the chosen times by the table as it was when the present window began.

    It may be in a file that is written anew each day, for which no pipeline is loaded again. Within
    a window it stays the same: by another one, that night could have two runs, or none.
    """
    tables: dict[date, GreenHours] = {}

    def times(after: datetime, until: datetime) -> Sequence[ChosenTime]:
        window = loaded.window_at(get_current_datetime())
        if window not in tables:
            tables.clear()
            tables[window] = _present_hours(pipeline, loaded)
        return [
            ChosenTime(
                one.at,
                {CARBON_TAG: f"{one.carbon:g}", CARBON_BEFORE_TAG: f"{one.carbon_then:g}"},
            )
            for one in tables[window].between(after, until)
        ]

    return times


def _present_hours(pipeline: Pipeline, loaded: GreenHours) -> GreenHours:
    """Return the hours with the table as it is now; what is wrong with it by now, the run tells."""
    try:
        declared = load_pipeline(pipeline.folder).spec.schedule
    except FactoryError:
        return loaded
    present = green_hours(declared) if declared else None
    if present is None:
        return loaded
    return replace(
        loaded,
        carbon=present.carbon,
        carbon_timezone=present.carbon_timezone,
        source=present.source,
    )
