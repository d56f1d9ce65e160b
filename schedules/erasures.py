"""The sensor that trains pipelines anew once rows that they had were erased.

What was erased is decided elsewhere; here: one training for each erasure and pipeline, and another
one after a failure.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg

from factory_resources.tracking.run_history import REASON_TAG
from schedules.started_trainings import next_try, started_trainings

_PAUSE = 60
"""Minimum number of seconds between two evaluations."""

_MOST = 5
"""Trainings that fail; then somebody has to look."""

NAME = "train_after_erasure"

REASON = "erasure-"
"""How the reason of a training after an erasure begins."""


def erasure_sensor(
    jobs: Sequence[dg.JobDefinition],
    *,
    look: Callable[[], Iterable[tuple[str, str]]],
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> dg.SensorDefinition:
    """Return the sensor, which is on by itself.

    Args:
        jobs: the jobs of the pipelines.
        look: returns the erasures that are done: the id and a pipeline that had such rows.
        clock: returns the time, with its zone.
    """
    names = {job.name for job in jobs}

    def _request(context: dg.SensorEvaluationContext) -> Sequence[dg.RunRequest] | dg.SkipReason:
        done: dict[str, list[str]] = {}
        for erasure, pipeline in look():
            if pipeline in names:
                done.setdefault(pipeline, []).append(erasure)
        requests = [
            request
            for pipeline, erasures in done.items()
            for request in _requests(context.instance, pipeline, erasures, clock())
        ]
        return requests or dg.SkipReason("nobody was erased, or every training was started")

    return dg.SensorDefinition(
        name=NAME,
        evaluation_fn=_request,
        jobs=jobs,
        minimum_interval_seconds=_PAUSE,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Trains a pipeline anew once rows that it had were erased.",
    )


def _requests(
    instance: dg.DagsterInstance, pipeline: str, erasures: Sequence[str], now: datetime
) -> Iterator[dg.RunRequest]:
    """Yield a training for each erasure that had none yet, or whose trainings have failed."""
    trainings = started_trainings(instance, pipeline)
    for reason in (f"{REASON}{erasure}" for erasure in erasures):
        own = [one for one in trainings if one.reason == reason]
        if any(one.outcome in {"succeeded", "unfinished"} for one in own) or len(own) >= _MOST:
            continue
        if own and next_try(own) > now:
            continue
        # Dagster starts no second run with the key of an earlier one.
        again = f"/{sum(one.runs for one in own) + 1}" if own else ""
        yield dg.RunRequest(
            job_name=pipeline, run_key=f"{pipeline}:{reason}{again}", tags={REASON_TAG: reason}
        )
