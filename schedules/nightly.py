"""The schedule that a declaration asks for."""

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
