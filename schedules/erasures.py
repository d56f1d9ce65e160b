"""The sensor that trains pipelines anew once rows that they had were erased.

What was erased is decided elsewhere; here: one run for each erasure and pipeline.
"""

from collections.abc import Callable, Iterable, Sequence

import dagster as dg

from factory_resources.tracking.run_history import REASON_TAG

_PAUSE = 60
"""Minimum number of seconds between two evaluations."""

NAME = "train_after_erasure"

REASON = "erasure-"
"""How the reason of a training after an erasure begins."""


def erasure_sensor(
    jobs: Sequence[dg.JobDefinition], *, look: Callable[[], Iterable[tuple[str, str]]]
) -> dg.SensorDefinition:
    """Return the sensor, which is on by itself.

    Args:
        jobs: the jobs of the pipelines.
        look: returns the erasures that are done: the id and a pipeline that had such rows.
    """
    names = {job.name for job in jobs}

    def _request(_: dg.SensorEvaluationContext) -> Sequence[dg.RunRequest] | dg.SkipReason:
        requests = [
            dg.RunRequest(
                job_name=pipeline,
                run_key=f"{pipeline}:{REASON}{erasure}",
                tags={REASON_TAG: f"{REASON}{erasure}"},
            )
            for erasure, pipeline in look()
            if pipeline in names
        ]
        return requests or dg.SkipReason("nobody was erased")

    return dg.SensorDefinition(
        name=NAME,
        evaluation_fn=_request,
        jobs=jobs,
        minimum_interval_seconds=_PAUSE,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Trains a pipeline anew once rows that it had were erased.",
    )
