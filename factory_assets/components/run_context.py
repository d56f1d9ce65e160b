"""Turn a step of a Dagster run into a stage request, and tag the run with its costs.

The tags show in Dagster's list of runs what a run has cost so far and what reuse has saved.
Summing up costs belongs in `execution.costs`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import dagster as dg
from dagster._core.storage.tags import SCHEDULED_EXECUTION_TIME_TAG

from factory_assets.execution.costs import CostTotal
from factory_assets.execution.progress import Progress
from factory_assets.execution.requests import StageRequest, stages_of
from factory_assets.execution.unchanged_notes import UnchangedRun
from factory_assets.execution.unshared_columns import unshared_columns
from factory_assets.execution.workers.settings import cluster_of, workers_of
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_resources.errors import DatabaseAwayError, FactoryError, SettingError
from factory_resources.home.home import Home
from factory_resources.sources.digest_cache import Hashing, Rehash
from factory_resources.tracking.records import Records
from factory_resources.tracking.run_history import AVOIDED_TAG

REUSE_TAG = "factory/reuse"
"""A run with this tag set to `false` reuses nothing and computes every stage."""

REHASH_TAG = "factory/rehash"
"""A run with this tag hashes every file anew: local ones (`files`), or also objects (`all`)."""

WORKERS_TAG = "factory/workers"
"""So many processes work for a run with this tag."""

CARBON_TAG, CARBON_BEFORE_TAG = "factory/carbon_g_per_kwh", "factory/carbon_at_window_g_per_kwh"
"""Of a run that began at the hour with the least carbon: the carbon of that hour, and that of the
beginning of the window."""

LOG_INTERVAL = 10.0
"""Minimum between two lines of Dagster's log about one stage: each is a write to its database."""

_RETRIES, _PAUSE = 5, 10
"""How often a step is tried again when the database is away, and the seconds before."""


def stage_request(
    pipeline: Pipeline,
    stage: Stage,
    context: dg.AssetExecutionContext,
    home: Home,
    progress: Progress,
) -> StageRequest:
    """Return the request that the run makes of the stage."""
    workers, cluster = _workers(context)
    if cluster and (unshared := unshared_columns(pipeline)):
        context.log.info(
            f"nodes of a cluster do not work on {pipeline.name}: "
            f"share is never for {', '.join(unshared)}"
        )
        workers, cluster = 0, ""
    return StageRequest(
        pipeline=pipeline,
        stage=stage,
        home=home,
        run_id=context.run.run_id,
        reuse=context.run.tags.get(REUSE_TAG, "true") != "false",
        tags={"dagster.run_id": context.run.run_id, "dagster.job": context.run.job_name},
        progress=_reporter(context, progress),
        hashing=Hashing.of(_rehash(context.run.tags.get(REHASH_TAG, ""))),
        scheduled=context.run.tags.get(SCHEDULED_EXECUTION_TIME_TAG),
        workers=workers,
        cluster=cluster,
    )


def _workers(context: dg.AssetExecutionContext) -> tuple[int, str]:
    """Return how many processes work for the run, and of which cluster.

    Without a number, this one works alone; without a cluster, this machine does.
    """
    asked = context.run.tags.get(WORKERS_TAG)
    try:
        return workers_of(asked), cluster_of(asked)
    except SettingError as error:
        raise step_failure(context, error) from error


def step_failure(
    context: dg.AssetExecutionContext, error: FactoryError
) -> dg.Failure | dg.RetryRequested:
    """Return what a step raises in Dagster for an error.

    If the database is away, the step is tried again, unless a person waits for the run.
    """
    by_hand = context.run.tags.get("dagster/max_retries") == "0"
    if isinstance(error, DatabaseAwayError) and not by_hand:
        return dg.RetryRequested(max_retries=_RETRIES, seconds_to_wait=_PAUSE)
    return dg.Failure(str(error), allow_retries=False)


def _rehash(tag: str) -> Rehash:
    match tag:
        case "files" | "all":
            return tag
        case _:
            return ""


def _reporter(context: dg.AssetExecutionContext, progress: Progress) -> Callable[[str], None]:
    """Return a function that passes on every message, but few of them to Dagster's log."""
    last_logged = [-LOG_INTERVAL]

    def report(message: str) -> None:
        progress.step(message)
        if (now := time.monotonic()) - last_logged[0] >= LOG_INTERVAL:
            last_logged[0] = now
            context.log.info(message)

    return report


ENERGY, CARBON, SAVED = "factory/energy_wh", "factory/co2e_g", "factory/saved_wh"


def tag_run(
    context: dg.AssetExecutionContext, pipeline: Pipeline, stage: Stage, home: Home, *, reused: bool
) -> None:
    """Tag the run with the costs of the pipeline's stages that it has computed or reused so far.

    Do nothing after a reused stage, unless it is the last one: writing the tags takes 0.03 s.
    """
    if reused and stage != stages_of(pipeline)[-1]:
        return
    run_id = context.run.run_id
    used = Records(home).used(pipeline.name, run_id)
    spent = CostTotal.of(record for record in used if record.run_id == run_id)
    saved = CostTotal.of(record for record in used if record.run_id != run_id)
    carbon = {CARBON: f"{spent.co2e:.6f}"} if spent.co2e is not None else {}
    tags = {ENERGY: f"{spent.wh:.6f}", SAVED: f"{saved.wh:.6f}", **carbon}
    context.instance.add_run_tags(run_id, {**tags, **_avoided(context.run.tags, spent.wh)})


def _avoided(tags: Mapping[str, str], wh: float) -> dict[str, str]:
    """Return what the run avoided by its hour: g CO2e; nothing if its hour was not chosen.

    The difference in carbon between the two hours, times the energy of what it has computed.
    """
    if CARBON_TAG not in tags or CARBON_BEFORE_TAG not in tags:
        return {}
    less = float(tags[CARBON_BEFORE_TAG]) - float(tags[CARBON_TAG])
    return {AVOIDED_TAG: f"{wh * less / 1000:.6f}"}


def report_unchanged(instance: dg.DagsterInstance, runs: Sequence[UnchangedRun]) -> None:
    """Tell Dagster of runs that it was not needed for: the last of each asset, and how many."""
    by_asset: dict[tuple[str, str], list[UnchangedRun]] = {}
    for run in runs:
        for stage in run.data_versions:
            by_asset.setdefault((run.pipeline, stage), []).append(run)
    for (pipeline, stage), of_asset in by_asset.items():
        observation = dg.AssetObservation(
            asset_key=dg.AssetKey([pipeline, stage]),
            metadata={
                "found unchanged": dg.MetadataValue.timestamp(
                    datetime.fromisoformat(of_asset[-1].finished)
                ),
                "runs": len(of_asset),
            },
            tags={"dagster/data_version": of_asset[-1].data_versions[stage]},
        )
        instance.report_runless_asset_event(observation)
