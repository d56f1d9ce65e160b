"""A process that works for a run: it reads requests, works on each, and answers.

python -m factory_assets.execution.workers.process IN OUT PARENT

It ends when the run closes the pipe with the requests, or dies. The other end of the pipes belongs
in `process_pool`.
"""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from factory_assets.data.privacy.sensitive_columns import redact_errors
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.asked_addresses import noticed_addresses
from factory_assets.execution.ledger_entries import declaration_digest
from factory_assets.execution.requests import StagePlan, StageRequest
from factory_assets.execution.workers.here import ReusableStage, work_here
from factory_assets.execution.workers.protocol import (
    Answer,
    ComputedMessage,
    FailedMessage,
    FaultMessage,
    PlannedMessage,
    ReusableMessage,
    StageCall,
    StepMessage,
    WorkerSetup,
    line_of,
)
from factory_assets.spec import Pipeline, partition_of
from factory_resources.boundary.syscalls import IS_SUPPORTED, die_with_parent
from factory_resources.errors import DeclarationError, FactoryError
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.sources.digest_cache import Hashing
from factory_resources.sql.shared_engines import SharedEngines

Send = Callable[[Answer], None]
Pipelines = Callable[[], Pipeline]

_NO_MEMORY = 77
"""Exit code if the process has no memory left."""


def main(arguments: list[str]) -> None:
    """Work on the requests of the run until there are no more."""
    requests, answers, parent = map(int, arguments)
    if IS_SUPPORTED:
        die_with_parent()
    if os.getppid() != parent:
        return
    with os.fdopen(requests, "rb") as read, os.fdopen(answers, "wb", buffering=0) as written:
        setup = WorkerSetup.model_validate_json(read.readline())
        # What a user's code imports is found where the run finds it.
        sys.path[:] = setup.path
        hashing = Hashing(setup.hashing, setup.objects)

        def send(message: Answer) -> None:
            written.write(line_of(message))

        @cache
        def pipeline() -> Pipeline:
            return _pipeline(setup)

        home = Home(setup.home)
        with home.scratch(setup.scratch) as scratch, SharedEngines(scratch) as engines:
            for line in read:
                asked = StageCall.model_validate_json(line)
                send(_answer(setup, asked, pipeline, hashing, engines, send))


def _answer(
    setup: WorkerSetup,
    asked: StageCall,
    pipeline: Pipelines,
    hashing: Hashing,
    engines: SharedEngines,
    send: Send,
) -> Answer:
    try:
        partition = partition_of(pipeline().spec.partitions, asked.partition)
        assert partition is not None
        return _work(
            StageRequest(
                pipeline=pipeline(),
                stage=asked.stage,
                home=Home(setup.home),
                run_id=setup.run_id,
                partition=partition,
                reuse=setup.reuse,
                tags=setup.tags,
                progress=lambda text: send(StepMessage(message=text)),
                hashing=hashing,
                engines=engines,
                workers=setup.workers,
                scheduled=setup.scheduled,
            ),
            send,
        )
    except FactoryError as error:
        return FailedMessage.of(error)
    except Exception:  # noqa: BLE001 - the run raises it
        return FaultMessage(traceback=traceback.format_exc())


def _work(call: StageRequest, send: Send) -> Answer:
    def planned(plan: StagePlan) -> None:
        send(PlannedMessage(components=plan.components, inputs=dict(plan.inputs)))

    with (
        redact_errors(call.pipeline),
        noticed_addresses() as asked,
        storage_faults(call.home),
        _ending_without_memory(),
    ):
        work = work_here(call, planned)
    warnings = tuple(str(one) for one in asked if not one.is_loopback)
    if isinstance(work, ReusableStage):
        return ReusableMessage(key=work.record.key, warnings=warnings)
    return ComputedMessage(
        value=work.value.model_dump(mode="json"),
        components=work.components,
        planned_key=work.planned_key,
        inputs=dict(work.inputs),
        cost=work.cost,
        warnings=warnings,
    )


@contextmanager
def _ending_without_memory() -> Iterator[None]:
    """End this process if it has no memory left: another one, which is empty, may have enough."""
    try:
        yield
    except MemoryError:
        os._exit(_NO_MEMORY)


def _pipeline(setup: WorkerSetup) -> Pipeline:
    pipeline = load_pipeline(setup.folder)
    if declaration_digest(pipeline) != setup.declaration:
        raise DeclarationError(
            "the declaration was changed during the run",
            where=pipeline.name,
            remedy="run again",
        )
    return pipeline


if __name__ == "__main__":
    main(sys.argv[1:])
