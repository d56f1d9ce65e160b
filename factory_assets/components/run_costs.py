"""What a run has cost by now and what reuse has saved it, as tags in Dagster's list of runs."""

import dagster as dg

from factory_assets.execution.costs import Total
from factory_assets.execution.requests import stages_of
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.tracking.records import Records

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
    made = Total.of(record for record in used if record.run_id == run_id)
    kept = Total.of(record for record in used if record.run_id != run_id)
    carbon = {CARBON: f"{made.co2e:.6f}"} if made.co2e is not None else {}
    tags = {ENERGY: f"{made.wh:.6f}", SAVED: f"{kept.wh:.6f}", **carbon}
    context.instance.add_run_tags(run_id, tags)
