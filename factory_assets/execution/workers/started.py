"""The workers of a run: processes of this machine, or of the nodes of a cluster.

What is given to them, and in which order, belongs to the caller.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from factory_assets.execution.requests import StageRequest
from factory_assets.execution.workers.settings import share_of_machine
from factory_assets.execution.workers.worker_process import WorkerProcess, setup_of, started_here


@contextmanager
def started_workers(call: StageRequest, scratch: Path, count: int) -> Iterator[list[WorkerProcess]]:
    """Yield the workers of a run; their processes start with the first request to each.

    Args:
        scratch: a folder of the run, in which the workers make their own.
        count: how many are of use; a cluster may have fewer.

    Raises:
        ClusterError: the cluster is away, refuses us, or is not like this machine.
    """
    if not call.cluster:
        setup = setup_of(call, scratch, count)
        environment = {**os.environ, **share_of_machine(count)}
        yield [WorkerProcess(started_here(setup, environment)) for _ in range(count)]
        return
    from factory_assets.execution.workers.ray_workers import ray_workers

    with ray_workers(call.cluster, call.pipeline.folder, scratch) as nodes:
        count = min(count, nodes.count)
        setup = setup_of(call, scratch, count)
        yield [WorkerProcess(partial(nodes.start, setup)) for _ in range(count)]
