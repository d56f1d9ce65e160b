"""Schedules of pipelines, and the condition under which new data starts the assets that read it.

Sensors belong in `sensors`.
"""

from collections.abc import Callable, Iterable, Mapping

import dagster as dg
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, SCHEDULE_NAME_TAG

from schedules.missed_times import missed_times

MISSED_TAG = "factory/missed"
"""The tag of a run that catches up for several times of its schedule; its value says for which."""


def schedule_for(
    job_name: str,
    *,
    cron: str,
    timezone: str,
    enabled: bool,
    tags: Mapping[str, str],
    needless: Callable[[], str] = lambda: "",
) -> dg.ScheduleDefinition:
    """Return the schedule of a pipeline's whole job.

    Unless it is `enabled`, a person has to switch it on. Its runs carry the tags, and one that
    catches up for times that were missed says so in a tag of its own. While one waits for its turn,
    no other is added.

    Args:
        needless: returns why there is nothing to run for now, or an empty text.
    """
    name = f"{job_name}_schedule"

    def request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if waiting := waiting_run(context.instance, SCHEDULE_NAME_TAG, name):
            return waiting
        if reason := needless():
            return dg.SkipReason(reason)
        missed = missed_times(context, name, cron, timezone)
        if missed is None:
            return dg.RunRequest(tags=tags)
        context.log.info(f"missed {missed}")
        return dg.RunRequest(tags={**tags, MISSED_TAG: str(missed)})

    status = dg.DefaultScheduleStatus.RUNNING if enabled else dg.DefaultScheduleStatus.STOPPED
    return dg.ScheduleDefinition(
        name=name,
        job_name=job_name,
        cron_schedule=cron,
        execution_timezone=timezone,
        default_status=status,
        tags=dict(tags),
        execution_fn=request,
    )


def waiting_run(instance: dg.DagsterInstance, tag: str, name: str) -> dg.SkipReason | None:
    """Return why no run is added: one waits, and will find what there is then.

    Without it, runs that take longer than the next one is away would let the queue grow without
    end. A retry does not count, as it repeats only what had failed.

    Args:
        tag: of the runs that count; Dagster's, with the name of the schedule or sensor.
        name: the name.
    """
    queued = dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED], tags={tag: name})
    for run in instance.get_runs(queued):
        if PARENT_RUN_ID_TAG not in run.tags:
            return dg.SkipReason(f"run {run.run_id[:8]} of {name} still waits for its turn")
    return None


def on_new_data(
    partitioned: Iterable[dg.AssetKey],
) -> dg.AutomationCondition:  # type: ignore[type-arg] # Dagster knows only the bare class
    """Return the condition that something upstream is new and its blocking checks passed.

    Nothing runs by itself until the sensor of the automation conditions is switched on in the UI.

    Args:
        partitioned: what is upstream in partitions. Whether these are new, the asset says that
            brings them up to date: some may have no data for ever, they become new one after the
            other, and Dagster has checks of those that a person chose alone.
    """
    condition = dg.AutomationCondition
    apart = dg.AssetSelection.assets(*partitioned)
    is_new = condition.newly_missing() | condition.any_deps_updated().ignore(apart)
    return (
        is_new.since_last_handled()
        & ~condition.any_deps_missing().ignore(apart)
        & ~condition.any_deps_in_progress()
        & ~condition.in_progress()
        & condition.all_deps_blocking_checks_passed().ignore(apart)
    )
