"""Let two nodes of a Ray cluster compute partitions, against two processes of this machine.

The nodes are on this machine, in a network of their own. What is compared is warm: the processes
are there and have computed a partition each.

python -m benchmarks.ray_nodes [SECONDS]
"""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.measure import Result
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.workers.in_order import work_in_order
from factory_assets.execution.workers.room import Needs
from factory_assets.execution.workers.stage_worker import work_in
from factory_assets.execution.workers.started import started_workers
from factory_assets.execution.workers.worker_process import WorkerProcess
from factory_assets.spec import Partition, partition_of
from factory_resources.home.home import Home
from tests.ray_nodes import ADDRESS, ray_nodes

PARTITIONS, SECONDS, CALLS = 8, 1.0, 200
PART, MILLISECONDS = 0.85, 10.0

_DECLARED = """\
type: factory_assets.ModelPipeline
attributes:
  purpose: Readings of a slow instrument, day by day
  partitions:
    day: {every: day, start: "2024-01-01", end: "2024-01-11"}
  ingest:
    source: {python: "readings:of", args: {day: "{day}"}}
    contract: [{name: place, type: float64}]
"""

_SOURCE = """\
import time

import pyarrow as pa


def of(day):
    time.sleep(SECONDS)
    return pa.table({"place": [float(number) for number in range(1000)]})
"""


def run(seconds: float = SECONDS) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="ray-") as name:
        root = Path(name)
        folder = root / "benchmark"
        folder.mkdir()
        (folder / "defs.yaml").write_text(_DECLARED)
        (folder / "readings.py").write_text(_SOURCE.replace("SECONDS", str(seconds)))
        with ray_nodes(root) as nodes:
            command = [sys.executable, "-m", "benchmarks.ray_nodes", "both", name]
            done = nodes.run(command)
        if done.code:
            raise RuntimeError(done.errors)
    here, there, call = json.loads(done.output)
    return [
        Result(
            f"{PARTITIONS} partitions of {seconds:g} s, two Ray nodes",
            f"{here / there:.2f} of two processes, {here:.2f} s to {there:.2f} s",
            f">= {PART} of two processes",
            here / there >= PART,
        ),
        Result(
            "a call of a process on a Ray node that does nothing",
            f"{call * 1000:.1f} ms",
            f"<= {MILLISECONDS:g} ms",
            call * 1000 <= MILLISECONDS,
        ),
    ]


def _both(root: Path) -> tuple[float, float, float]:
    """Return the seconds of processes, those of nodes, and those of an empty call."""
    home = Home(root / "home")
    call = StageRequest(load_pipeline(root / "benchmark"), "ingest", home, "run")
    here, there = _warm(replace(call, workers=2)), _warm(replace(call, cluster=ADDRESS))
    return here, there, _empty(ADDRESS)


def _warm(call: StageRequest) -> float:
    days = [f"2024-01-{day:02}" for day in range(1, PARTITIONS + 3)]
    found = [partition_of(call.pipeline.spec.partitions, day) for day in days]
    partitions = [one for one in found if one]

    def work(worker: WorkerProcess, partition: Partition, _: object) -> None:
        work_in(worker, replace(call, partition=partition), lambda _: None)

    with (
        call.home.scratch() as scratch,
        started_workers(call, Needs(), scratch, count=2) as workers,
    ):
        for worker, partition in zip(workers, partitions, strict=False):
            work(worker, partition, None)
        started = time.perf_counter()
        for _ in work_in_order(workers, partitions[2:], work, partial(print, file=sys.stderr)):
            pass
        return time.perf_counter() - started


def _empty(address: str) -> float:
    from factory_assets.execution.workers.node_worker import NodeWorker
    from factory_resources.compute.ray_cluster import RayCluster

    cluster = RayCluster(address)
    actor = cluster.start(NodeWorker, num_cpus=1)
    cluster.ask(actor.node)
    started = time.perf_counter()
    for _ in range(CALLS):
        cluster.ask(actor.node)
    seconds = time.perf_counter() - started
    cluster.close()
    return seconds / CALLS


def main(arguments: Sequence[str]) -> None:
    if arguments[:1] == ["both"]:
        print(json.dumps(_both(Path(arguments[1]))))
        return
    for result in run(*map(float, arguments)):
        print(result.name, result.measured, sep=": ")


if __name__ == "__main__":
    main(sys.argv[1:])
