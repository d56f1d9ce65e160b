"""The workers of a run: processes of this machine, or of the nodes of a cluster.

What is given to them, and in which order, belongs to the caller.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from factory_assets.execution.requests import StageRequest
from factory_assets.execution.workers.room import Needs
from factory_assets.execution.workers.settings import share_of_machine
from factory_assets.execution.workers.stage_worker import setup_of
from factory_assets.execution.workers.worker_process import WorkerProcess, close_all


@contextmanager
def started_workers(
    call: StageRequest, needs: Needs, scratch: Path, count: int
) -> Iterator[list[WorkerProcess]]:
    """Yield the workers of a run, whose processes start with the first request; end them.

    Args:
        needs: what each of them needs of its machine.
        scratch: a folder of the run, in which the workers make their own.
        count: how many are of use; a cluster may have fewer.

    Raises:
        ClusterError: the cluster is away, refuses us, is not like this machine, or has no room.
    """
    if not call.cluster:
        setup = setup_of(call, scratch, count)
        connect = partial(call.processes.connect, setup, share_of_machine(count))
        with _closed([WorkerProcess(connect) for _ in range(count)]) as workers:
            yield workers
        return
    from factory_assets.execution.workers.ray_workers import ray_workers

    with ray_workers(call.cluster, call.pipeline.folder, scratch, needs) as nodes:
        nodes.require_room()
        count = min(count, nodes.count)
        setup = setup_of(call, scratch, count)
        with _closed(
            [WorkerProcess(partial(nodes.connect, setup)) for _ in range(count)]
        ) as workers:
            yield workers


@contextmanager
def _closed(workers: list[WorkerProcess]) -> Iterator[list[WorkerProcess]]:
    try:
        yield workers
    finally:
        close_all(workers)
