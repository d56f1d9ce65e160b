"""The schedule that a declaration asks for.

When new data flows on: an asset runs as soon as what it reads has changed.
"""

import dagster as dg


def schedule_for(
    job_name: str, *, cron: str, timezone: str, enabled: bool
) -> dg.ScheduleDefinition:
    """A schedule of a pipeline's whole job.

    It waits for a person to switch it on unless `enabled`.
    """
    status = dg.DefaultScheduleStatus.RUNNING if enabled else dg.DefaultScheduleStatus.STOPPED
    return dg.ScheduleDefinition(
        name=f"{job_name}_schedule",
        job_name=job_name,
        cron_schedule=cron,
        execution_timezone=timezone,
        default_status=status,
    )


def on_new_data() -> dg.AutomationCondition:  # type: ignore[type-arg] # Dagster knows only the bare class
    """Whenever something upstream was made anew, and its blocking checks passed.

    Nothing runs by itself before the sensor of the automation conditions is switched on in the UI.
    """
    return dg.AutomationCondition.eager() & (
        dg.AutomationCondition.all_deps_blocking_checks_passed()
    )
