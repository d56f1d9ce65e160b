"""Let two nodes of a Ray cluster compute partitions and fit, against two processes of this machine.

The nodes are on this machine, in a network of their own. What is compared is warm: the processes
are there and have computed a partition each, or done a fit.

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
from factory_assets.execution.runner import run_stage
from factory_assets.execution.workers.fit_pool import fit_pool
from factory_assets.execution.workers.in_order import work_in_order
from factory_assets.execution.workers.room import Needs
from factory_assets.execution.workers.stage_worker import work_in
from factory_assets.execution.workers.started import started_workers
from factory_assets.execution.workers.worker_process import WorkerProcess
from factory_assets.ml.training.fit_tasks import FitRows
from factory_assets.ml.training.fitting import no_progress
from factory_assets.ml.training.trials import TrialTask
from factory_assets.results.data import SplitResult
from factory_assets.results.stages import Stage
from factory_assets.spec import Partition, Pipeline, partition_of
from factory_resources.home.home import Home
from tests.pipelines import APPLES, declare, write_apples
from tests.ray_nodes import ADDRESS, ray_nodes

PARTITIONS, FITS, SECONDS, CALLS = 8, 8, 1.0, 200
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

_MODEL = """\
import time

from sklearn.linear_model import LogisticRegression


class Slow(LogisticRegression):
    def fit(self, x, y):
        time.sleep(SECONDS)
        return super().fit(x, y)
"""


def run(seconds: float = SECONDS) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="ray-") as name:
        root = Path(name)
        folder = root / "benchmark"
        folder.mkdir()
        (folder / "defs.yaml").write_text(_DECLARED)
        (folder / "readings.py").write_text(_SOURCE.replace("SECONDS", str(seconds)))
        _declare_fits(root / "fits", seconds)
        with ray_nodes(root) as nodes:
            command = [sys.executable, "-m", "benchmarks.ray_nodes", "both", name]
            done = nodes.run(command)
        if done.code:
            raise RuntimeError(done.errors)
    here, there, fits_here, fits_there, call = json.loads(done.output)
    return [
        Result(
            f"{PARTITIONS} partitions of {seconds:g} s, two Ray nodes",
            f"{here / there:.2f} of two processes, {here:.2f} s to {there:.2f} s",
            f">= {PART} of two processes",
            here / there >= PART,
        ),
        Result(
            f"{FITS} fits of {seconds:g} s, two Ray nodes",
            f"{fits_here / fits_there:.2f} of two processes, {fits_here:.2f} s to "
            f"{fits_there:.2f} s",
            f">= {PART} of two processes",
            fits_here / fits_there >= PART,
        ),
        Result(
            "a call of a process on a Ray node that does nothing",
            f"{call * 1000:.1f} ms",
            f"<= {MILLISECONDS:g} ms",
            call * 1000 <= MILLISECONDS,
        ),
    ]


def _declare_fits(folder: Path, seconds: float) -> None:
    write_apples(folder)
    (folder / "slow.py").write_text(_MODEL.replace("SECONDS", str(seconds)))
    tune = {"trials": FITS, "search": {"args.C": [0.01, 100]}}
    train = {"target": "label", "model": {"python": "slow:Slow"}, "tune": tune}
    declare(folder, {**APPLES, "train": train})


def _both(root: Path) -> tuple[float, ...]:
    """Return the seconds of processes and of nodes, for partitions and fits; and of a call."""
    home = Home(root / "home")
    call = StageRequest(load_pipeline(root / "benchmark"), "ingest", home, "run")
    here, there = _warm(replace(call, workers=2)), _warm(replace(call, cluster=ADDRESS))
    fits = [_fits(load_pipeline(root / "fits"), home, cluster) for cluster in ("", ADDRESS)]
    return here, there, *fits, _empty(ADDRESS)


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


def _fits(pipeline: Pipeline, home: Home, cluster: str) -> float:
    before: tuple[Stage, ...] = ("ingest", "clean", "split")
    done = [run_stage(StageRequest(pipeline, stage, home, "run")) for stage in before]
    split = done[-1].value
    assert isinstance(split, SplitResult)
    rows = FitRows(train=split.train, validation=split.validation)
    tasks = [TrialTask(rows=rows, number=number, settings=None) for number in range(FITS + 2)]
    call = StageRequest(pipeline, "train", home, "run", workers=2, cluster=cluster)
    with fit_pool(call) as pool:
        for _ in pool.map(tasks[:2], no_progress):
            pass
        started = time.perf_counter()
        for _ in pool.map(tasks[2:], no_progress):
            pass
        assert not pool.warnings
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
