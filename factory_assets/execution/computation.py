"""Compute a stage in this process: call its function with the results that it needs.

Whether it is called is decided in `plan`; what is stored afterwards belongs in `runner`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from shutil import rmtree
from typing import TYPE_CHECKING

from factory_assets.data.leakage.policy import REASONS, accepted_reasons
from factory_assets.execution.cache_key import asset_code_version, cache_key_components
from factory_assets.execution.disk_watermark import require_disk_space
from factory_assets.execution.ledger_entries import declaration_digest
from factory_assets.execution.loaded_components import actual_components, expected_components
from factory_assets.execution.new_answers import compares_champion
from factory_assets.execution.plan import (
    answers_to_judge,
    champion_to_beat,
    latest_records,
    plan_stage,
)
from factory_assets.execution.requests import Inputs, StagePlan, StageRequest
from factory_assets.execution.workers.room import require_room
from factory_assets.execution.workers.worker import ComputedStage, ReusableStage
from factory_assets.results.base import StageResult, digest, expect
from factory_assets.results.data import CleanResult, IngestResult, SplitResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.latest import value_of
from factory_assets.results.model import Candidate
from factory_assets.results.stages import Stage
from factory_resources.errors import RefusedError
from factory_resources.metering.interrupted import interrupted_attempts
from factory_resources.metering.meter import Cost, Meter, Rates
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry

if TYPE_CHECKING:
    from factory_assets.execution.workers.fit_pool import FitPool
    from factory_assets.execution.workers.node_group import NodeGroup
    from factory_assets.ml.training.fit_tasks import FitExecutor


def work_here(
    call: StageRequest, planned: Callable[[StagePlan], None]
) -> ReusableStage | ComputedStage:
    """Compute the stage in this process, or find the record that it can reuse.

    Raises:
        FactoryError: the stage rejects the data or the declaration.
    """
    with plan_stage(call) as plan:
        if call.reuse and plan.record:
            return ReusableStage(plan.record)
        require_room(call.pipeline, [call.stage])
        planned(plan)
        gc.enable()
        require_disk_space(call.home, call.run_id)
        key = digest(plan.components)
        if not call.reuse:
            forget_attempts(call, key)
        with (
            Meter(Rates.from_env(), sharing=call.sharing) as meter,
            _interrupted_attempts(call, meter, key) as before,
            _fit_pool(call) as pool,
        ):
            value = compute(call, plan, pool)
            cost = meter.read().after(before)
        components = actual_components(call, plan.components, pool.loaded if pool else {})
        if not pool:
            return ComputedStage(value, components, key, plan.inputs, cost)
        cost = replace(cost, megabytes=cost.megabytes + pool.megabytes)
        return ComputedStage(value, components, key, plan.inputs, cost, pool.warnings)


def forget_attempts(call: StageRequest, key: str) -> None:
    """Remove what earlier attempts at the computation have left: checkpoints, and their cost."""
    rmtree(call.checkpoints(key), ignore_errors=True)
    call.interrupted(key).unlink(missing_ok=True)


def _interrupted_attempts(
    call: StageRequest, meter: Meter, key: str
) -> AbstractContextManager[Cost | None]:
    """Return what earlier attempts have cost; only a training goes on where one was killed."""
    if call.stage != "train":
        return nullcontext()
    return interrupted_attempts(meter, call.interrupted(key))


def _fit_pool(call: StageRequest) -> AbstractContextManager[FitPool | NodeGroup | None]:
    if not call.workers or call.stage not in {"train", "evaluate"}:
        return nullcontext()
    if call.cluster and call.pipeline.spec.training.trainer.nodes > 1:
        from factory_assets.execution.workers.node_group import node_group

        return node_group(call)
    from factory_assets.execution.workers.fit_pool import fit_pool

    return fit_pool(call)


def compute(
    call: StageRequest, plan: StagePlan, executor: FitExecutor | None = None
) -> StageResult:
    """Compute the stage as planned.

    Args:
        executor: does what is independent within the stage; None if this process works alone.
    """
    pipeline, home, inputs = call.pipeline, call.home, plan.results
    match call.stage:
        case "ingest":
            return _ingest(call, plan)
        case "clean":
            from factory_assets.stages.clean import clean

            blocks = cache_key_components(pipeline, "clean", {})
            ingested = expect(IngestResult, inputs["ingest"])
            return clean(
                pipeline, ingested, home, call.partition_key, key=blocks, engines=call.engines
            )
        case "split":
            from factory_assets.stages.split import split

            return split(pipeline, expect(CleanResult, inputs["clean"]), home)
        case "train":
            from factory_assets.execution.provenance import store_provenance
            from factory_assets.stages.train import train

            parts, tags = expect(SplitResult, inputs["split"]), _lineage(call, inputs)
            candidate = train(
                pipeline,
                parts,
                home,
                tags=tags,
                progress=call.progress,
                checkpoints=call.checkpoints(digest(plan.components)),
                executor=executor,
            )
            provenance = store_provenance(pipeline, parts, candidate, home)
            return candidate.model_copy(update={"provenance": provenance})
        case "evaluate":
            from factory_assets.execution.version_lineage import learned_rows
            from factory_assets.stages.evaluate import evaluate

            candidate, champion = expect(Candidate, inputs["train"]), champion_to_beat(call, inputs)
            parts = expect(SplitResult, inputs["split"])
            return evaluate(
                pipeline,
                parts,
                candidate,
                home,
                champion=champion,
                learned=learned_rows(candidate.model, champion, home) if champion else (),
                answers=answers_to_judge(call, inputs),
                progress=call.progress,
                executor=executor,
            )
        case "deploy":
            from factory_assets.stages.deploy import deploy

            verdict = expect(EvaluationResult, inputs["evaluate"])
            candidate = expect(Candidate, inputs["train"])
            _require_compared(call, candidate, verdict)
            return deploy(pipeline, expect(SplitResult, inputs["split"]), candidate, verdict, home)


def _require_compared(call: StageRequest, candidate: Candidate, verdict: EvaluationResult) -> None:
    """Require that a candidate was compared with the version that it replaces.

    Another run of the pipeline may have deployed since the evaluation, or a person rolled back.

    Raises:
        RefusedError: it was compared with another one.
    """
    serving = Registry(call.home).champion(candidate.model)
    to_beat = champion_to_beat(call, {"train": candidate})
    same = serving == candidate.version or to_beat in {None, verdict.champion_version}
    if same or not compares_champion(call.pipeline.spec.evaluate):
        return
    before = f"version {verdict.champion_version}" if verdict.champion_version else "no version"
    raise RefusedError(
        f"version {candidate.version} was compared with {before}, and version {serving} serves by "
        "now",
        where=call.pipeline.name,
        remedy=f"compare it with that one: factory run {call.pipeline.name}",
    )


def _ingest(call: StageRequest, plan: StagePlan) -> StageResult:
    from factory_assets.stages.ingest import ingest_sources

    call.home.require_writable()
    assert plan.scratch is not None
    plan.scratch.mkdir(exist_ok=True)
    blocks = cache_key_components(call.pipeline, "ingest", {})
    records = Records(call.home)
    if latest := records.latest(call.pipeline.name, "ingest", call.partition_key):
        blocks = expected_components(call, blocks, latest)
    return ingest_sources(
        call.pipeline,
        plan.sources,
        call.home,
        plan.scratch,
        call.partition_key,
        key=blocks,
        engines=call.engines,
        turn=call.turn,
    )


def _lineage(call: StageRequest, inputs: Inputs) -> dict[str, str]:
    """Return the tags that link a model version to its run, its data and its code."""
    earlier: tuple[Stage, ...] = ("ingest", "clean")
    versions = {stage: value_of(latest_records(call, stage)).data_version for stage in earlier}
    versions |= {stage: value.data_version for stage, value in inputs.items()}
    why = accepted_reasons(call.pipeline, expect(SplitResult, inputs["split"]).leaks)
    return {
        **call.tags,
        **({REASONS: why} if why else {}),
        "factory.pipeline": call.pipeline.name,
        "factory.run_id": call.run_id,
        "factory.code_version": asset_code_version(call.pipeline, "train"),
        "factory.spec_sha256": declaration_digest(call.pipeline),
        **{f"factory.data_version.{stage}": version for stage, version in versions.items()},
    }
