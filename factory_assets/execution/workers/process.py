"""A process that works for a run: it reads requests, works on each, and answers.

python -m factory_assets.execution.workers.process IN OUT PARENT

It ends when the run closes the pipe with the requests, or dies. Inside a boundary of its own, the
pipes are its standard streams, and PARENT is 0: then it ends with its boundary. The other end of
the pipes belongs in `worker_process`.
"""

import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import BinaryIO

from factory_assets.data.privacy.sensitive_columns import redact_errors
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.asked_addresses import noticed_addresses
from factory_assets.execution.computation import work_here
from factory_assets.execution.ledger_entries import declaration_digest
from factory_assets.execution.requests import StagePlan, StageRequest
from factory_assets.execution.workers.local_process import NO_MEMORY
from factory_assets.execution.workers.protocol import (
    Answer,
    ComputedMessage,
    FailedMessage,
    FaultMessage,
    PlannedMessage,
    ReusableMessage,
    StageCall,
    StepMessage,
    TurnMessage,
    WorkerSetup,
    line_of,
)
from factory_assets.execution.workers.worker import ReusableStage
from factory_assets.spec import Pipeline, partition_of
from factory_resources.boundary.syscalls import IS_SUPPORTED, die_with_parent
from factory_resources.errors import DeclarationError, FactoryError
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.sources.digest_cache import Hashing
from factory_resources.sql.shared_engines import SharedEngines


def main(arguments: list[str]) -> None:
    """Work on the requests of the run until there are no more."""
    requests, answers, parent = map(int, arguments)
    if not parent:
        requests, answers = _apart_from_prints(requests, answers)
    elif IS_SUPPORTED:
        die_with_parent()
    if parent and os.getppid() != parent:
        return
    with os.fdopen(requests, "rb") as read, os.fdopen(answers, "wb") as written:
        setup = WorkerSetup.model_validate_json(read.readline())
        # What a user's code imports is found where the run finds it.
        sys.path[:] = setup.path
        home = Home(setup.home)
        with home.scratch(setup.scratch) as scratch, SharedEngines(scratch) as engines:
            desk = _Desk(setup, read, written, engines)
            for line in read:
                desk.send(desk.answer(StageCall.model_validate_json(line)))


def _apart_from_prints(requests: int, answers: int) -> tuple[int, int]:
    """Return other numbers of both pipes; what is printed goes to standard error from now on."""
    apart = os.dup(requests), os.dup(answers)
    os.dup2(os.open(os.devnull, os.O_RDONLY), requests)
    os.dup2(sys.stderr.fileno(), answers)
    return apart


class _Desk:
    """Where the requests of a run come in, and their answers go out."""

    def __init__(
        self, setup: WorkerSetup, read: BinaryIO, written: BinaryIO, engines: SharedEngines
    ) -> None:
        self._setup, self._read, self._written, self._engines = setup, read, written, engines
        self._hashing = Hashing(setup.hashing, setup.objects)
        self._waited = 0.0

    def send(self, message: Answer) -> None:
        self._written.write(line_of(message))
        self._written.flush()

    def answer(self, asked: StageCall) -> Answer:
        """Work on a request; return its result, or why there is none."""
        try:
            return self._work(self._request(asked))
        except FactoryError as error:
            return FailedMessage.of(error)
        except Exception:  # noqa: BLE001 - the run raises it
            return FaultMessage(traceback=traceback.format_exc())

    def _request(self, asked: StageCall) -> StageRequest:
        setup, pipeline = self._setup, self._pipeline
        return StageRequest(
            pipeline=pipeline,
            stage=asked.stage,
            home=Home(setup.home),
            run_id=setup.run_id,
            partition=partition_of(pipeline.spec.partitions, asked.partition),
            reuse=setup.reuse,
            tags=setup.tags,
            progress=lambda text: self.send(StepMessage(message=text)),
            hashing=self._hashing,
            engines=self._engines,
            workers=setup.workers,
            turn=self._await_turn,
            scheduled=setup.scheduled,
        )

    @cached_property
    def _pipeline(self) -> Pipeline:
        pipeline = load_pipeline(self._setup.folder)
        if declaration_digest(pipeline) != self._setup.declaration:
            raise DeclarationError(
                "the declaration was changed during the run",
                where=pipeline.name,
                remedy="run again",
            )
        return pipeline

    def _work(self, call: StageRequest) -> Answer:
        self._waited = 0.0
        with (
            redact_errors(call.pipeline),
            noticed_addresses() as asked,
            storage_faults(call.home),
            _ending_without_memory(),
        ):
            work = work_here(call, self._tell_plan)
        warnings = tuple(str(one) for one in asked if not one.is_loopback)
        if isinstance(work, ReusableStage):
            return ReusableMessage(key=work.record.key, warnings=warnings)
        return ComputedMessage(
            value=work.value.model_dump(mode="json"),
            components=work.components,
            planned_key=work.planned_key,
            inputs=dict(work.inputs),
            # Others worked meanwhile.
            cost=replace(work.cost, seconds=work.cost.seconds - self._waited),
            warnings=warnings,
        )

    def _tell_plan(self, plan: StagePlan) -> None:
        self.send(PlannedMessage(components=plan.components, inputs=dict(plan.inputs)))

    def _await_turn(self) -> None:
        started = time.perf_counter()
        self.send(TurnMessage())
        if not self._read.readline():
            # The run is gone.
            sys.exit()
        self._waited = time.perf_counter() - started


@contextmanager
def _ending_without_memory() -> Iterator[None]:
    """End this process if it has no memory left: another one, which is empty, may have enough."""
    try:
        yield
    except MemoryError:
        os._exit(NO_MEMORY)


if __name__ == "__main__":
    main(sys.argv[1:])
