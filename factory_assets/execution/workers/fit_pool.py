"""Processes that do the independent fits of a stage: folds, trials, retrainings.

What a fit is belongs in `ml`, how a process is asked, in `worker_process`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shutil import rmtree

from factory_assets.execution.requests import StageRequest
from factory_assets.execution.workers.fit_call import FitCall
from factory_assets.execution.workers.in_order import work_in_order
from factory_assets.execution.workers.protocol import (
    Answer,
    FittedMessage,
    StepMessage,
)
from factory_assets.execution.workers.room import Needs, needs_of, room_for
from factory_assets.execution.workers.settings import fitting_environments
from factory_assets.execution.workers.stage_worker import setup_of
from factory_assets.execution.workers.worker_process import WorkerProcess, close_all
from factory_assets.ml.training.fit_tasks import FitTask, FittedTask, Progress


class FitPool:
    """The processes of one stage; each is started when it has something to do.

    Args:
        call: the request for the stage.
        workers: those that do the fits.
        needs: what one of them needs.
        scratch: a folder of the run for the files of the fits.
    """

    def __init__(
        self,
        call: StageRequest,
        workers: Sequence[WorkerProcess],
        needs: Needs,
        scratch: Path,
    ) -> None:
        self._call, self._workers, self._needs, self._scratch = call, workers, needs, scratch
        self._count = 0
        self._megabytes: dict[WorkerProcess, float] = {}
        self._warnings: dict[str, None] = {}
        self.loaded: dict[str, dict[str, str]] = {}
        """What the user's code loaded in the processes."""

    @property
    def megabytes(self) -> float:
        """Peak resident memory of all processes together, at most."""
        return sum(self._megabytes.values())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know, each in one line."""
        return tuple(self._warnings)

    def map(self, tasks: Sequence[FitTask], progress: Progress) -> Iterator[FittedTask]:
        """Do all tasks at the same time, and yield them in their order.

        Raises:
            FactoryError: what a task raises; the others are given up.
            WorkerError: processes died three times in a row.
        """
        numbered = [*enumerate(tasks, self._count)]
        self._count += len(tasks)
        workers = self._workers[: len(tasks)]
        for done in work_in_order(workers, numbered, self._work, progress):
            yield done
            rmtree(done.files, ignore_errors=True)

    def _work(
        self,
        worker: WorkerProcess,
        numbered: tuple[int, FitTask],
        report: Callable[[str], None],
    ) -> FittedTask:
        number, task = numbered

        def hear(answer: Answer, _: object) -> None:
            if isinstance(answer, StepMessage):
                report(answer.message)

        stage, files = self._call.stage, self._scratch / str(number)
        text = task.model_dump_json()
        call = FitCall(stage=stage, task=text, files=files, resources=self._needs)
        answer = worker.ask(call, hear, f"{self._call.pipeline.name}/{stage}")
        assert isinstance(answer, FittedMessage)
        self._megabytes[worker] = answer.cost.megabytes
        self._warnings |= dict.fromkeys(answer.warnings)
        for kind, found in answer.loaded.items():
            self.loaded.setdefault(kind, {}).update(found)
        return FittedTask(files, answer.cost)


@contextmanager
def fit_pool(call: StageRequest) -> Iterator[FitPool | None]:
    """Open the processes that do the fits of a stage; None if the run works alone."""
    needs = needs_of(call.pipeline, [call.stage])
    count = room_for(call.workers, needs)
    if not count:
        yield None
        return
    with call.home.scratch() as scratch:
        setup = setup_of(call, scratch, count)
        workers = [
            WorkerProcess(partial(call.processes.connect, setup, variables))
            for variables in fitting_environments(count, needs)
        ]
        try:
            yield FitPool(call, workers, needs, scratch)
        except BaseException:
            for worker in workers:
                worker.stop()
            raise
        finally:
            close_all(workers)
