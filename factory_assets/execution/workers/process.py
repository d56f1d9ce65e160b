"""A process that works for a run: it reads requests, works on each, and answers.

It ends when the run closes the pipe with the requests, or dies. The other end of the pipes belongs
in `connection`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

from pydantic import BaseModel

from factory_assets.data.privacy.sensitive_columns import redact_errors
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.asked_addresses import Asked, noticed_addresses
from factory_assets.execution.cache_key import user_references
from factory_assets.execution.computation import work_here
from factory_assets.execution.ledger_entries import declaration_digest
from factory_assets.execution.loaded_code import loaded_code
from factory_assets.execution.requests import StagePlan, StageRequest
from factory_assets.execution.workers.connection import NO_MEMORY
from factory_assets.execution.workers.protocol import (
    Answer,
    ComputedMessage,
    FailedMessage,
    FaultMessage,
    FitCall,
    FittedMessage,
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
from factory_assets.spec.base import STORED
from factory_resources.boundary.syscalls import IS_SUPPORTED, die_with_parent
from factory_resources.errors import DeclarationError, FactoryError
from factory_resources.home.home import Home, storage_errors
from factory_resources.home.storage_faults import storage_faults
from factory_resources.metering.meter import Meter, Rates
from factory_resources.sources.digest_cache import Hashing
from factory_resources.sql.shared_engines import SharedEngines

if TYPE_CHECKING:
    from factory_assets.ml.training.fit_tasks import FitTask


def work(arguments: list[str]) -> None:
    """Work on the requests of a run until there are no more.

    Args:
        arguments: the numbers of the pipes with the requests and with the answers, and that of the
            run's process. Inside a boundary of its own, the pipes are its standard streams, and the
            last number is 0: then it ends with its boundary.
    """
    requests, answers, parent = map(int, arguments)
    if not parent:
        requests, answers = _apart_from_prints(requests, answers)
    elif IS_SUPPORTED:
        die_with_parent()
    if parent and os.getppid() != parent:
        return
    with os.fdopen(requests, "rb") as read, os.fdopen(answers, "wb") as written:
        if not (line := read.readline()):
            # The run has nothing to ask.
            return
        setup = WorkerSetup.model_validate_json(line)
        _set_variables(setup.environment)
        # What a user's code imports is found where the run finds it.
        sys.path[:] = setup.path
        home = Home(setup.home)
        with home.scratch(setup.scratch) as scratch, SharedEngines(scratch) as engines:
            desk = _Desk(setup, read, written, engines)
            for line in read:
                desk.send(desk.answer(line))


def _set_variables(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


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
        self._home = Home(setup.home)
        self._prepared: tuple[BaseModel, Any] | None = None
        """What the last fits had in common, and what they read of it."""
        self._waited = 0.0

    def send(self, message: Answer) -> None:
        self._written.write(line_of(message))
        self._written.flush()

    def answer(self, request: bytes) -> Answer:
        """Work on a request; return its result, or why there is none."""
        try:
            if json.loads(request)["kind"] == "stage":
                return self._work(StageCall.model_validate_json(request))
            return self._fit(FitCall.model_validate_json(request))
        except FactoryError as error:
            return FailedMessage.of(error)
        except Exception:  # noqa: BLE001 - the run raises it
            return FaultMessage(traceback=traceback.format_exc())

    def _request(self, asked: StageCall) -> StageRequest:
        setup, pipeline = self._setup, self._pipeline
        return StageRequest(
            pipeline=pipeline,
            stage=asked.stage,
            home=self._home,
            run_id=setup.run_id,
            partition=partition_of(pipeline.spec.partitions, asked.partition),
            reuse=setup.reuse,
            tags=setup.tags,
            progress=self._tell_step,
            hashing=self._hashing,
            engines=self._engines,
            sharing=setup.workers,
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

    def _fit(self, asked: FitCall) -> Answer:
        from factory_assets.execution.workers.fit_kinds import TASKS

        task: FitTask = TASKS.validate_json(asked.task, context=STORED)
        pipeline = self._pipeline
        # A process that was lost with its node may still write what it was asked for.
        files = asked.files.with_name(f"{asked.files.name}-{uuid4().hex}")
        with storage_errors(files):
            files.mkdir()
        sharing = max(1, self._setup.workers)
        with self._working() as addresses, Meter(Rates.from_env(), sharing=sharing) as meter:
            if self._prepared is None or self._prepared[0] != task.shared:
                # Never both in memory.
                self._prepared = None
                self._prepared = task.shared, task.prepare(pipeline, self._home)
            task.run(self._prepared[1], files, self._tell_step)
            cost = meter.read()
        with storage_errors(asked.files):
            shutil.rmtree(asked.files, ignore_errors=True)
            files.rename(asked.files)
        references = user_references(pipeline, asked.stage)
        return FittedMessage(
            loaded=loaded_code(references, pipeline.folder) if references else {},
            cost=cost,
            warnings=_warnings(addresses),
        )

    def _work(self, asked: StageCall) -> Answer:
        self._waited = 0.0
        with self._working() as addresses:
            work = work_here(self._request(asked), self._tell_plan)
        warnings = _warnings(addresses)
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

    @contextmanager
    def _working(self) -> Iterator[list[Asked]]:
        with (
            redact_errors(self._pipeline),
            noticed_addresses() as addresses,
            storage_faults(self._home),
            _ending_without_memory(),
        ):
            yield addresses

    def _tell_step(self, text: str) -> None:
        self.send(StepMessage(message=text))

    def _tell_plan(self, plan: StagePlan) -> None:
        self.send(PlannedMessage(components=plan.components, inputs=dict(plan.inputs)))

    def _await_turn(self) -> None:
        started = time.perf_counter()
        self.send(TurnMessage())
        if not self._read.readline():
            # The run is gone.
            sys.exit()
        self._waited = time.perf_counter() - started


def _warnings(addresses: list[Asked]) -> tuple[str, ...]:
    return tuple(str(one) for one in addresses if not one.is_loopback)


@contextmanager
def _ending_without_memory() -> Iterator[None]:
    """End this process if it has no memory left: another one, which is empty, may have enough."""
    try:
        yield
    except MemoryError:
        os._exit(NO_MEMORY)
