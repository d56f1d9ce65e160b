"""Stages of partitions that a process computes, in the place of `computation.work_here`.

How a process is asked belongs in `worker_process`; independent fits of one stage, in `fit_pool`.
"""

from collections.abc import Callable
from pathlib import Path

from factory_assets.execution.ledger_entries import declaration_digest
from factory_assets.execution.requests import Inputs, StagePlan, StageRequest
from factory_assets.execution.workers.connection import WorkerConnection
from factory_assets.execution.workers.protocol import (
    Answer,
    ComputedMessage,
    PlannedMessage,
    ReusableMessage,
    StageCall,
    StepMessage,
    TurnCall,
    TurnMessage,
    WorkerSetup,
    line_of,
)
from factory_assets.execution.workers.room import needs_of
from factory_assets.execution.workers.worker import ComputedStage, ReusableStage
from factory_assets.execution.workers.worker_process import WorkerProcess
from factory_assets.results.latest import value_of
from factory_assets.results.stages import RESULT_TYPES, UPSTREAM
from factory_resources.import_record import search_path
from factory_resources.tracking.record import damaged_record
from factory_resources.tracking.records import Records


def work_in(
    worker: WorkerProcess, call: StageRequest, planned: Callable[[StagePlan], None]
) -> ReusableStage | ComputedStage:
    """Work on a request as `computation.work_here` does, in a process.

    Raises:
        FactoryError: what the stage rejects.
        WorkerError: processes died three times in a row.
        RuntimeError: a fault of the process, with its traceback.
    """
    assert call.partition is not None
    tell = _Once(planned)

    def hear(answer: Answer, running: WorkerConnection) -> None:
        match answer:
            case StepMessage():
                if call.progress:
                    call.progress(answer.message)
            case TurnMessage():
                if call.turn:
                    call.turn()
                running.send(line_of(TurnCall()))
            case PlannedMessage():
                tell(StagePlan(answer.components, None, _results(answer, call), answer.inputs))

    needs = needs_of(call.pipeline, [call.stage])
    asked = StageCall(stage=call.stage, partition=call.partition.key, resources=needs)
    answer = worker.ask(asked, hear, f"{call.pipeline.name}/{call.stage}")
    if isinstance(answer, ReusableMessage):
        if call.turn:
            call.turn()
        record = Records(call.home).find(call.pipeline.name, call.stage, answer.key)
        if record is None:
            raise damaged_record(f"{call.pipeline.name}/{call.stage}/{answer.key}")
        return ReusableStage(record, answer.warnings)
    assert isinstance(answer, ComputedMessage)
    return ComputedStage(
        RESULT_TYPES[call.stage].model_validate(answer.value),
        answer.components,
        answer.planned_key,
        answer.inputs,
        answer.cost,
        answer.warnings,
    )


class _Once:
    """Passes on the first plan alone: a request that is worked on again has begun before."""

    def __init__(self, planned: Callable[[StagePlan], None]) -> None:
        self._planned: Callable[[StagePlan], None] | None = planned

    def __call__(self, plan: StagePlan) -> None:
        if self._planned:
            self._planned(plan)
        self._planned = None


def _results(answer: PlannedMessage, call: StageRequest) -> Inputs:
    """Return the results that the worker reads."""
    records, results = Records(call.home), {}
    for stage in UPSTREAM[call.stage]:
        found = (records.find(call.pipeline.name, stage, key) for key in answer.inputs[stage])
        results[stage] = value_of([record for record in found if record])
    return results


def setup_of(call: StageRequest, scratch: Path, workers: int) -> WorkerSetup:
    """Return what the requests of a run have in common.

    Args:
        scratch: a folder of the run, in which the workers make their own.
        workers: how many there are; each hashes its part of what is hashed in any case.
    """
    return WorkerSetup(
        path=tuple(search_path()),
        folder=call.pipeline.folder,
        declaration=declaration_digest(call.pipeline),
        home=call.home.path,
        scratch=scratch,
        run_id=call.run_id,
        reuse=call.reuse,
        tags=dict(call.tags),
        scheduled=call.scheduled,
        workers=workers,
        hashing=call.hashing.left / workers,
        objects=call.hashing.objects,
    )
