"""From a step of a Dagster run to the call of a stage.

What a run has cost by now and what reuse has saved it, as tags in Dagster's list of runs.
"""

import time
from collections.abc import Callable

import dagster as dg

from factory_assets.execution.costs import CostTotal
from factory_assets.execution.progress import Progress
from factory_assets.execution.requests import StageRequest, stages_of
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.tracking.records import Records

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
) -> StageRequest:
    """What the run asks of the stage."""
    return StageRequest(
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


ENERGY, CARBON, SAVED = "factory/energy_wh", "factory/co2e_g", "factory/saved_wh"


def tag_run(
    context: dg.AssetExecutionContext, pipeline: Pipeline, stage: Stage, home: Home, *, reused: bool
) -> None:
    """Sum up the stages of the pipeline that the run made or reused.

    Not after a stage that was reused, unless it is the last: writing takes .03 s.
    """
    if reused and stage != stages_of(pipeline)[-1]:
        return
    run_id = context.run.run_id
    used = Records(home).used(pipeline.name, run_id)
    made = CostTotal.of(record for record in used if record.run_id == run_id)
    kept = CostTotal.of(record for record in used if record.run_id != run_id)
    carbon = {CARBON: f"{made.co2e:.6f}"} if made.co2e is not None else {}
    tags = {ENERGY: f"{made.wh:.6f}", SAVED: f"{kept.wh:.6f}", **carbon}
    context.instance.add_run_tags(run_id, tags)
