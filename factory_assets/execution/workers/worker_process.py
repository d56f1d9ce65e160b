"""A process that works for a run, as the run sees it: it is asked for one thing at a time.

If it dies, another one is started and asked for the same: whatever a worker leaves behind has no
name yet. How it is reached belongs in `connection`; what it is asked for, in `stage_worker` and
`fit_pool`.
"""

from collections.abc import Callable, Iterable

from factory_assets.execution.workers.connection import WorkerConnection, WorkerEnded
from factory_assets.execution.workers.protocol import (
    ANSWERS,
    Answer,
    FailedMessage,
    FaultMessage,
    GoodAnswer,
    LastAnswer,
    Message,
    line_of,
)
from factory_resources.errors import WorkerError

ATTEMPTS = 3
"""How many processes are asked for the same until it is given up."""

Hear = Callable[[Answer, WorkerConnection], None]
"""Hears what a worker tells while it works; may send it something."""


class WorkerProcess:
    """Works on requests in a process of its own, which is started when it is needed.

    Args:
        connect: starts a process.
    """

    def __init__(self, connect: Callable[[], WorkerConnection]) -> None:
        self._connect = connect
        self._running: WorkerConnection | None = None
        self._is_stopped = False

    @property
    def is_running(self) -> bool:
        """Whether its process was started, and has not ended."""
        return self._running is not None

    def ask(self, call: Message, hear: Hear, where: str) -> GoodAnswer:
        """Return the answer to a request.

        Args:
            where: pipeline and stage, for messages.

        Raises:
            FactoryError: what the request rejects.
            WorkerError: processes died three times in a row.
            RuntimeError: a fault of the process, with its traceback.
        """
        for _ in range(ATTEMPTS):
            try:
                answer = self._ask(call, hear)
                break
            except WorkerEnded as error:
                ended = error
        else:
            raise WorkerError(
                f"{ATTEMPTS} workers in a row ended, the last one {ended}",
                where=where,
                remedy="if the machine has too little memory, use fewer workers",
            )
        match answer:
            case FailedMessage():
                raise answer.rebuilt()
            case FaultMessage():
                raise RuntimeError(f"in a worker:\n{answer.traceback}")
        return answer

    def finish(self) -> None:
        """Tell the process that nothing more is asked."""
        if running := self._running:
            running.finish()

    def close(self) -> None:
        """Let the process end, and wait until it has."""
        running, self._running = self._running, None
        if running:
            running.end()

    def stop(self) -> None:
        """Kill the process and all that it has started; nothing is asked any more."""
        self._is_stopped = True
        if running := self._running:
            running.kill()

    def require_running(self) -> None:
        """Raise a KeyboardInterrupt if the process was stopped."""
        if self._is_stopped:
            raise KeyboardInterrupt

    def _ask(self, call: Message, hear: Hear) -> LastAnswer:
        self.require_running()
        if self._running is None:
            self._running = self._connect()
        if self._is_stopped:
            # Meanwhile: whoever stopped it did not see the process yet.
            self._running.kill()
        try:
            self._running.send(line_of(call))
            while not isinstance(answer := ANSWERS.validate_json(self._running.line()), LastAnswer):
                hear(answer, self._running)
        except WorkerEnded:
            self._running = None
            raise
        except BaseException:
            # What it still says would be taken for the answer to the next request.
            self._running.remove()
            self._running = None
            raise
        return answer


def close_all(workers: Iterable[WorkerProcess]) -> None:
    """Let the processes end at the same time, and wait until all have."""
    workers = [*workers]
    for worker in workers:
        worker.finish()
    for worker in workers:
        worker.close()
