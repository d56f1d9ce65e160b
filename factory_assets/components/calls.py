"""From a step of a Dagster run to the call of a stage."""

import time
from collections.abc import Callable

import dagster as dg

from factory_assets.execution.progress import Progress
from factory_assets.execution.requests import Call
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home

REUSE_TAG = "factory/reuse"
"""A run with this tag set to `false` computes every stage anew."""
SECONDS = 10.0
"""Between two lines of Dagster's log about one stage: each is a write to its database."""


def call_of(
    pipeline: Pipeline,
    stage: Stage,
    context: dg.AssetExecutionContext,
    home: Home,
    progress: Progress,
) -> Call:
    """What the run asks of the stage."""
    return Call(
        pipeline=pipeline,
        stage=stage,
        home=home,
        run_id=context.run.run_id,
        reuse=context.run.tags.get(REUSE_TAG, "true") != "false",
        tags={"dagster.run_id": context.run.run_id, "dagster.job": context.run.job_name},
        progress=_told(context, progress),
    )


def _told(context: dg.AssetExecutionContext, progress: Progress) -> Callable[[str], None]:
    """The listener hears every step; Dagster's log the first, and now and then where it is."""
    last = [-SECONDS]

    def tell(message: str) -> None:
        progress.step(message)
        if (now := time.monotonic()) - last[0] >= SECONDS:
            last[0] = now
            context.log.info(message)

    return tell
