"""Schedules of pipelines, and the condition under which new data starts the assets that read it.

Sensors belong in `sensors`.
"""

from collections.abc import Mapping

import dagster as dg


def schedule_for(
    job_name: str, *, cron: str, timezone: str, enabled: bool, tags: Mapping[str, str]
) -> dg.ScheduleDefinition:
    """Return the schedule of a pipeline's whole job.

    Unless it is `enabled`, a person has to switch it on. Its runs carry the tags.
    """
    status = dg.DefaultScheduleStatus.RUNNING if enabled else dg.DefaultScheduleStatus.STOPPED
    return dg.ScheduleDefinition(
        name=f"{job_name}_schedule",
        job_name=job_name,
        cron_schedule=cron,
        execution_timezone=timezone,
        default_status=status,
        tags=dict(tags),
    )


def on_new_data() -> dg.AutomationCondition:  # type: ignore[type-arg] # Dagster knows only the bare class
    """Return the condition that something upstream is new and its blocking checks passed.

    Nothing runs by itself until the sensor of the automation conditions is switched on in the UI.
    """
    return dg.AutomationCondition.eager() & (
        dg.AutomationCondition.all_deps_blocking_checks_passed()
    )
