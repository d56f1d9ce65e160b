"""Spread independent pieces of work over workers, and take the results in the order of the pieces.

Each worker has a thread, which waits for it. What the pieces report is passed on in the caller's
thread. What a piece of work is belongs to the caller.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Generic, TypeVar

from factory_assets.execution.workers.worker_process import WorkerProcess

Piece = TypeVar("Piece")
Result = TypeVar("Result")

_JOIN = 10.0
"""Seconds to wait for a thread that stores what it has; one that waits for another run is left."""


@dataclass(frozen=True)
class _Done(Generic[Result]):
    number: int
    result: Result


def work_in_order(
    workers: Sequence[WorkerProcess],
    pieces: Sequence[Piece],
    work: Callable[[WorkerProcess, Piece, Callable[[str], None]], Result],
    report: Callable[[str], None],
) -> Iterator[Result]:
    """Work on all pieces, and yield their results in order.

    Args:
        work: works on a piece with a worker; may report steps by its third argument.
        report: receives these steps.

    Raises:
        BaseException: what `work` raises, as soon as it does; the other workers are killed.
    """
    events: SimpleQueue[_Done[Result] | str | BaseException] = SimpleQueue()
    waiting, taking = iter(enumerate(pieces)), Lock()

    def drive(worker: WorkerProcess) -> None:
        try:
            while True:
                with taking:
                    number, piece = next(waiting, (-1, None))
                if piece is None:
                    if not all(one.is_running for one in workers):
                        # One may wait for room that another run keeps, which waits for this.
                        worker.close()
                    return
                events.put(_Done(number, work(worker, piece, events.put)))
        except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
            events.put(error)

    threads = [Thread(target=drive, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    done: dict[int, Result] = {}
    try:
        for number in range(len(pieces)):
            while number not in done:
                match events.get():
                    case _Done() as one:
                        done[one.number] = one.result
                    case str() as message:
                        report(message)
                    case BaseException() as error:
                        raise error
            yield done.pop(number)
    except BaseException:
        for worker in workers:
            worker.stop()
        raise
    finally:
        for thread in threads:
            thread.join(_JOIN)
