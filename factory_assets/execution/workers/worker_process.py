"""A process that works for a run, as the run sees it.

It is asked for one stage at a time. If it dies, another one is started and asked for the same:
whatever a worker leaves behind has no name yet. Where it runs belongs in `local_process` and
`ray_workers`, what it does in `process`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from factory_assets.execution.ledger_entries import declaration_digest
from factory_assets.execution.requests import Inputs, StagePlan, StageRequest
from factory_assets.execution.workers.local_process import LocalProcess, WorkerEnded
from factory_assets.execution.workers.protocol import (
    ANSWERS,
    Answer,
    ComputedMessage,
    FailedMessage,
    FaultMessage,
    LastAnswer,
    PlannedMessage,
    ReusableMessage,
    StageCall,
    StepMessage,
    TurnCall,
    TurnMessage,
    WorkerSetup,
    line_of,
)
from factory_assets.execution.workers.worker import ComputedStage, ReusableStage
from factory_assets.results.latest import value_of
from factory_assets.results.stages import RESULT_TYPES, UPSTREAM
from factory_resources.errors import WorkerError
from factory_resources.import_record import search_path
from factory_resources.tracking.record import damaged_record
from factory_resources.tracking.records import Records

ATTEMPTS = 3
"""How many processes are asked for the same until it is given up."""


class Running(Protocol):
    """A process that was started somewhere, and the lines to it and from it."""

    def send(self, line: bytes) -> None:
        """Send a message; raise WorkerEnded if the process is gone."""

    def line(self) -> bytes:
        """Return the next message; raise WorkerEnded if the process is gone."""

    def end(self) -> None:
        """Let the process end: there is nothing more to do."""

    def kill(self) -> None:
        """Kill the process and all that it has started."""

    def remove(self) -> WorkerEnded:
        """Remove what is left of the process, and return how it ended."""


Start = Callable[[], Running]
"""Starts a process that waits for its first request."""


class WorkerProcess:
    """Works on requests in a process of its own, which is started when it is needed.

    Args:
        start: starts the process; see `started_here`.
    """

    def __init__(self, start: Start) -> None:
        self._start = start
        self._running: Running | None = None
        self._is_stopped = False

    def work(
        self, call: StageRequest, planned: Callable[[StagePlan], None]
    ) -> ReusableStage | ComputedStage:
        """Work on a request as `computation.work_here` does, in the process.

        Raises:
            FactoryError: what the stage rejects.
            WorkerError: processes died three times in a row.
            RuntimeError: a fault of the process, with its traceback.
        """
        reports = _Once(planned)
        for _ in range(ATTEMPTS):
            try:
                return self._ask(call, reports)
            except WorkerEnded as error:
                ended = error
        raise WorkerError(
            f"{ATTEMPTS} workers in a row ended, the last one {ended}",
            where=f"{call.pipeline.name}/{call.stage}",
            remedy="if the machine has too little memory, use fewer workers",
        )

    def close(self) -> None:
        """Let the process end: there is nothing more to do."""
        if self._running:
            self._running.end()
            self._running = None

    def stop(self) -> None:
        """Kill the process and all that it has started; nothing is asked any more."""
        self._is_stopped = True
        if self._running:
            self._running.kill()

    def require_running(self) -> None:
        """Raise a KeyboardInterrupt if the process was stopped."""
        if self._is_stopped:
            raise KeyboardInterrupt

    def _ask(
        self, call: StageRequest, planned: Callable[[StagePlan], None]
    ) -> ReusableStage | ComputedStage:
        self.require_running()
        assert call.partition is not None
        if self._running is None:
            self._running = self._start()
        if self._is_stopped:
            # Meanwhile: whoever stopped it did not see the process yet.
            self._running.kill()
        try:
            self._running.send(line_of(StageCall(stage=call.stage, partition=call.partition.key)))
            while not isinstance(answer := ANSWERS.validate_json(self._running.line()), LastAnswer):
                _hear(answer, self._running, call, planned)
            if isinstance(answer, ReusableMessage) and call.turn:
                call.turn()
        except WorkerEnded:
            self._running = None
            raise
        except BaseException:
            # What it still says would be taken for the answer to the next request.
            self._running.remove()
            self._running = None
            raise
        return _result(answer, call)


class _Once:
    """Passes on the first plan alone: a request that is worked on again has begun before."""

    def __init__(self, planned: Callable[[StagePlan], None]) -> None:
        self._planned: Callable[[StagePlan], None] | None = planned

    def __call__(self, plan: StagePlan) -> None:
        if self._planned:
            self._planned(plan)
        self._planned = None


def _hear(
    answer: Answer, running: Running, call: StageRequest, planned: Callable[[StagePlan], None]
) -> None:
    """Pass on what a worker tells while it works."""
    match answer:
        case StepMessage():
            if call.progress:
                call.progress(answer.message)
        case TurnMessage():
            if call.turn:
                call.turn()
            running.send(line_of(TurnCall()))
        case PlannedMessage():
            planned(StagePlan(answer.components, None, _results(answer, call), answer.inputs))


def _result(answer: LastAnswer, call: StageRequest) -> ReusableStage | ComputedStage:
    """Return what a worker has done, or raise why it has not."""
    match answer:
        case ReusableMessage():
            record = Records(call.home).find(call.pipeline.name, call.stage, answer.key)
            if record is None:
                raise damaged_record(f"{call.pipeline.name}/{call.stage}/{answer.key}")
            return ReusableStage(record, answer.warnings)
        case ComputedMessage():
            return ComputedStage(
                RESULT_TYPES[call.stage].model_validate(answer.value),
                answer.components,
                answer.planned_key,
                answer.inputs,
                answer.cost,
                answer.warnings,
            )
        case FailedMessage():
            raise answer.rebuilt()
        case FaultMessage():
            raise RuntimeError(f"in a worker:\n{answer.traceback}")


def _results(answer: PlannedMessage, call: StageRequest) -> Inputs:
    """Return the results that the worker reads."""
    records, results = Records(call.home), {}
    for stage in UPSTREAM[call.stage]:
        found = (records.find(call.pipeline.name, stage, key) for key in answer.inputs[stage])
        results[stage] = value_of([record for record in found if record])
    return results


def started_here(setup: WorkerSetup, environment: Mapping[str, str]) -> Start:
    """Return what starts a process of this machine.

    Args:
        setup: what all requests have in common.
        environment: the variables of the process.
    """
    return partial(_started_here, setup, environment)


def _started_here(setup: WorkerSetup, environment: Mapping[str, str]) -> Running:
    running = LocalProcess(f"{__package__}.process", (), environment)
    running.send(line_of(setup))
    return running


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
