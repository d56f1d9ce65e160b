"""Several nodes of a Ray cluster that do each fit of a stage together, as one torch process group.

Every node does the same task and gets the same result; that of the first counts. What they tell
each other belongs in `ml.models.networks.lightning.distributed`.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from shutil import rmtree

from factory_assets.execution.boundary_level import declared_level
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.workers.connection import WorkerConnection, WorkerEnded
from factory_assets.execution.workers.protocol import (
    ANSWERS,
    FailedMessage,
    FaultMessage,
    FitCall,
    FittedMessage,
    LastAnswer,
    StepMessage,
    line_of,
)
from factory_assets.execution.workers.ray_workers import RayWorkers, ray_workers
from factory_assets.execution.workers.room import needs_of
from factory_assets.execution.workers.stage_worker import setup_of
from factory_assets.execution.workers.worker_process import ATTEMPTS
from factory_assets.ml.training.fit_tasks import FitTask, FittedTask
from factory_resources.errors import BoundaryError, WorkerError
from factory_resources.progress import Progress

_LOOK = 0.5
"""Seconds after which steps are passed on."""

_GRACE = 40.0
"""Seconds in which it is found out that a node was lost whose like complains of its silence."""


class NodeGroup:
    """The nodes that train a network together, as many as it declares.

    Args:
        call: the request for the stage.
        scratch: a folder of the run for the files of the fits.
        opened: closes the connection to the cluster, which the first task opens.
    """

    def __init__(self, call: StageRequest, scratch: Path, opened: ExitStack) -> None:
        self._call, self._scratch, self._opened = call, scratch, opened
        self._nodes: RayWorkers | None = None
        self._number = 0
        self.megabytes = 0.0
        """Peak resident memory of all processes together, at most."""
        self.warnings: tuple[str, ...] = ()
        """What a person should know, each in one line."""
        self.loaded: dict[str, dict[str, str]] = {}
        """What the user's code loaded in the processes."""

    def map(self, tasks: Sequence[FitTask], progress: Progress) -> Iterator[FittedTask]:
        """Do the tasks one after another, each by all nodes, and yield them.

        Raises:
            FactoryError: what a task raises.
            ClusterError: the cluster is away, refuses us, or has too few nodes.
            WorkerError: nodes were lost three times in a row.
        """
        for task in tasks:
            done = self._done(task, progress)
            yield done
            rmtree(done.files.parent, ignore_errors=True)

    def _done(self, task: FitTask, progress: Progress) -> FittedTask:
        for _ in range(ATTEMPTS):
            files = self._scratch / str(self._number)
            self._number += 1
            files.mkdir()
            try:
                answer = self._fit(task, files, progress)
            except WorkerEnded as error:
                ended = error
                continue
            return FittedTask(files / "0", answer.cost)
        raise WorkerError(
            f"{ATTEMPTS} times in a row a worker ended, the last one {ended}",
            where=f"{self._call.pipeline.name}/{self._call.stage}",
            remedy="look at the nodes of the cluster; the training goes on from its checkpoint",
        )

    def _fit(self, task: FitTask, files: Path, progress: Progress) -> FittedMessage:
        call, nodes = self._call, self._open()
        setup = setup_of(call, self._scratch, 1)
        connections = nodes.connect_together(setup, call.pipeline.spec.training.trainer.nodes)
        text, steps = task.model_dump_json(), SimpleQueue[str]()
        with ThreadPoolExecutor(len(connections)) as threads:
            try:
                answers = [
                    threads.submit(
                        _ask,
                        connection,
                        FitCall(stage=call.stage, task=text, files=files / str(rank)),
                        None if rank else steps,
                    )
                    for rank, connection in enumerate(connections)
                ]
                first, *others = _gathered(answers, steps, progress)
            except BaseException:
                for connection in connections:
                    connection.kill()
                raise
            for connection in connections:
                connection.end()
        self.megabytes = max(self.megabytes, sum(one.cost.megabytes for one in (first, *others)))
        self.warnings = tuple(dict.fromkeys((*self.warnings, *first.warnings)))
        for kind, found in first.loaded.items():
            self.loaded.setdefault(kind, {}).update(found)
        return first

    def _open(self) -> RayWorkers:
        if self._nodes is None:
            pipeline = self._call.pipeline
            needs = needs_of(pipeline, [self._call.stage])
            paths = (self._call.cluster, pipeline.folder, self._scratch)
            self._nodes = self._opened.enter_context(ray_workers(*paths, needs))
            self._nodes.require_room()
        return self._nodes


@contextmanager
def node_group(call: StageRequest) -> Iterator[NodeGroup]:
    """Open the nodes that do the fits of a stage together.

    Raises:
        BoundaryError: the pipeline requires a boundary, inside which no node reaches another.
    """
    if declared_level([call.pipeline]) == "required":
        raise BoundaryError(
            "nodes that train together reach each other, and a boundary is required",
            where=call.pipeline.name,
            remedy="set train.trainer.nodes to 1, or declare `boundary: auto`",
        )
    with call.home.scratch() as scratch, ExitStack() as opened:
        yield NodeGroup(call, scratch, opened)


def _ask(connection: WorkerConnection, call: FitCall, steps: SimpleQueue[str] | None) -> LastAnswer:
    connection.send(line_of(call))
    while not isinstance(answer := ANSWERS.validate_json(connection.line()), LastAnswer):
        if steps and isinstance(answer, StepMessage):
            steps.put(answer.message)
    return answer


def _gathered(
    answers: Sequence[Future[LastAnswer]], steps: SimpleQueue[str], progress: Progress
) -> list[FittedMessage]:
    """Wait for all answers, and pass on the steps of the first process meanwhile.

    Raises:
        WorkerEnded: a process is gone, whatever the others say of it.
        FactoryError: what the task rejects.
        RuntimeError: a fault of a process, with its traceback.
    """
    while not all(answer.done() for answer in answers):
        wait([one for one in answers if not one.done()], _LOOK, FIRST_COMPLETED)
        while not steps.empty():
            progress(steps.get())
        if bad := [one for one in answers if one.done() and not _is_good(one)]:
            if _is_fault(bad[0]):
                # The process that it misses may be gone with its node.
                wait([one for one in answers if not one.done()], _GRACE, FIRST_COMPLETED)
            break
    ended = [one.result() for one in answers if one.done()]
    found = []
    for answer in ended:
        match answer:
            case FailedMessage():
                raise answer.rebuilt()
            case FaultMessage():
                raise RuntimeError(f"in a worker:\n{answer.traceback}")
            case FittedMessage():
                found.append(answer)
    return found


def _is_good(answer: Future[LastAnswer]) -> bool:
    return not answer.exception() and isinstance(answer.result(), FittedMessage)


def _is_fault(answer: Future[LastAnswer]) -> bool:
    return not answer.exception() and isinstance(answer.result(), FaultMessage)
