"""Processes that do the independent fits of a stage: folds, trials, members, retrainings.

What a fit is belongs in `ml`, how a process is asked, in `worker_process`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from shutil import rmtree

from factory_assets.execution.requests import StageRequest
from factory_assets.execution.workers.in_order import work_in_order
from factory_assets.execution.workers.protocol import (
    Answer,
    FitCall,
    FittedMessage,
    StepMessage,
)
from factory_assets.execution.workers.room import Needs, needs_of, room_for
from factory_assets.execution.workers.settings import fitting_environments
from factory_assets.execution.workers.stage_worker import setup_of
from factory_assets.execution.workers.worker_process import WorkerProcess, close_all
from factory_assets.ml.training.fit_tasks import FitTask, FittedTask
from factory_resources.progress import Progress


class FitPool:
    """The processes of one stage; each is started when it has something to do.

    Args:
        call: the request for the stage.
        needs: what one of them needs.
        scratch: a folder of the run for the files of the fits.
        opened: closes the connection to a cluster, which the first tasks open.
    """

    def __init__(self, call: StageRequest, needs: Needs, scratch: Path, opened: ExitStack) -> None:
        self._call, self._needs, self._scratch, self._opened = call, needs, scratch, opened
        self._count, self._workers = 0, list[WorkerProcess]()
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
            ClusterError: the cluster is away, refuses us, has another environment, or has lost all
                nodes that could do them.
        """
        if not tasks:
            return
        numbered = [*enumerate(tasks, self._count)]
        self._count += len(tasks)
        self._workers = self._workers or self._choose()
        for done in work_in_order(self._workers[: len(tasks)], numbered, self._work, progress):
            yield done
            rmtree(done.files, ignore_errors=True)

    def stop(self) -> None:
        """Kill the processes."""
        for worker in self._workers:
            worker.stop()

    def close(self) -> None:
        """End the processes, and wait until they have."""
        close_all(self._workers)

    def _choose(self) -> list[WorkerProcess]:
        call, needs = self._call, self._needs
        if not call.cluster:
            return _local_workers(call, room_for(call.workers, needs), needs, self._scratch)
        from factory_assets.execution.workers.ray_workers import ray_workers

        folder = call.pipeline.folder
        nodes = self._opened.enter_context(ray_workers(call.cluster, folder, self._scratch, needs))
        places = nodes.places_to_fit()
        if unfit := [why for why in nodes.unfit.values() if why]:
            reasons = ", ".join(sorted({one for why in unfit for one in why}))
            count = f"{len(unfit)} of {len(nodes.unfit)} nodes of the Ray cluster cannot fit models"
            rest = "" if places else ", so the run fits by itself"
            self._warnings[f"{count} ({reasons}){rest}"] = None
        if not places:
            return _local_workers(call, 1, needs, self._scratch)
        setup = setup_of(call, self._scratch, 1)
        return [WorkerProcess(partial(nodes.connect_to_fit, setup, node)) for node in places]

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
def fit_pool(call: StageRequest) -> Iterator[FitPool]:
    """Open the processes that do the fits of a stage.

    Those of a cluster are asked only where they find what this machine would, to the bit.
    """
    with call.home.scratch() as scratch, ExitStack() as opened:
        pool = FitPool(call, needs_of(call.pipeline, [call.stage]), scratch, opened)
        try:
            yield pool
        except BaseException:
            pool.stop()
            raise
        finally:
            pool.close()


def _local_workers(
    call: StageRequest, count: int, needs: Needs, scratch: Path
) -> list[WorkerProcess]:
    setup = setup_of(call, scratch, count)
    return [
        WorkerProcess(partial(call.processes.connect, setup, variables))
        for variables in fitting_environments(count, needs)
    ]
