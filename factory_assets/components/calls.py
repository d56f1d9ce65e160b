"""From a step of a Dagster run to the call of a stage."""

import dagster as dg

from factory_assets.components.progress import Progress
from factory_assets.spec import Pipeline
from factory_assets.stages.runner import Call
from factory_assets.stages.values import Stage
from factory_resources.home import Home

REUSE_TAG = "factory/reuse"
"""A run with this tag set to `false` computes every stage anew."""


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
        progress=progress.step,
    )
