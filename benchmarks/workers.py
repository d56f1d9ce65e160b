"""Compute partitions by several processes: how much faster, what it costs, how many are planned.

python -m benchmarks.workers [ROWS]
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import FACTORY, Result, Usage, measure
from benchmarks.partitions import declare

PARTITIONS, ROWS, FEW, MANY = 8, 120_000_000, 1_000, 10_000
GAIN, CPU, PLANNING = 1.8, 1.03, 5.0
_WORKERS = (0, 1, 2)

PART = 0.9
"""Of what two plain processes gain at the same time: 1.8 of 2 on two idle cores."""

_DECLARED = """\
type: factory_assets.ModelPipeline
attributes:
  purpose: Steps of a slow instrument, day by day
  partitions:
    day: {every: day, start: "2024-01-01", end: "2024-01-09"}
  ingest:
    source: {python: "steps:of", args: {day: "{day}"}}
    contract:
      - {name: place, type: float64}
      - {name: count, type: int64}
  clean: {where: {near: place < 1e9}}
"""

_SOURCE = """\
import random

import pyarrow as pa


def of(day):
    chance, place, places = random.Random(day), 0.0, []
    for step in range(ROWS):
        place += chance.random() - 0.5
        if not step % 100:
            places.append(place)
    return pa.table({"place": places, "count": list(range(len(places)))})
"""


def run(rows: int = ROWS) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folder = _declared(root, "work", rows)
        for pipeline in ("first", "start"):
            _declared(root, pipeline, FEW)
        # The first run in a home also makes its databases, which takes longer than all imports.
        first, *_ = (_measured(root, "first", workers).wall for workers in _WORKERS)
        start, _, start_of_two = (_measured(root, "start", workers).wall for workers in _WORKERS)
        alone, one, two = (_measured(root, "work", workers) for workers in _WORKERS)
        plain = _plain(folder, 1) / _plain(folder, 2)
        many = _planned(root)
    gain = alone.wall / two.wall
    of_work = (alone.wall - start) / (two.wall - start_of_two)
    return [
        Result(
            f"{PARTITIONS} partitions of {rows:,} steps, two workers",
            f"{gain:.2f} x as fast, {alone.wall:.1f} s to {two.wall:.1f} s; "
            f"CPU {two.cpu / alone.cpu:.2f} x",
            f">= {GAIN} x",
            gain >= GAIN,
        ),
        Result(
            f"{PARTITIONS} partitions of {rows:,} steps, two workers, without the start of the run",
            f"{of_work:.2f} x as fast; two plain processes {plain:.2f} x; the start takes "
            f"{start:.1f} s, with two workers {start_of_two:.1f} s, in a new home {first:.1f} s",
            f">= {PART} of what two plain processes gain",
            of_work >= PART * plain,
        ),
        Result(
            f"{PARTITIONS} partitions of {rows:,} steps, one worker",
            f"CPU {one.cpu / alone.cpu:.3f} x, {alone.cpu:.1f} s to {one.cpu:.1f} s",
            f"CPU <= {CPU} x",
            one.cpu / alone.cpu <= CPU,
        ),
        Result(
            f"planning {MANY:,} partitions",
            f"wall {many:.2f} s",
            f"wall <= {PLANNING:g} s",
            many <= PLANNING,
        ),
    ]


def _declared(root: Path, name: str, rows: int) -> Path:
    """Write a pipeline below the folder; return its own."""
    folder = root / "defs" / name
    folder.mkdir(parents=True)
    (folder / "defs.yaml").write_text(_DECLARED)
    (folder / "steps.py").write_text(_SOURCE.replace("ROWS", str(rows)))
    return folder


def _measured(root: Path, name: str, workers: int) -> Usage:
    """Run a pipeline in a home for that number; the process start and Dagster are included."""
    environment = {
        "FACTORY_DEFS": str(root / "defs"),
        "FACTORY_HOME": str(root / f"home_{workers}"),
        "FACTORY_WORKERS": str(workers or ""),
    }
    return measure([FACTORY, "run", name], environment)


def _plain(folder: Path, processes: int) -> float:
    """Return the seconds in which so many plain processes compute the steps of all partitions."""
    each = PARTITIONS // processes
    code = f"import steps\nfor day in range({each}): steps.of(day)"
    started = time.perf_counter()
    running = [subprocess.Popen([sys.executable, "-c", code], cwd=folder) for _ in range(processes)]
    for process in running:
        process.wait()
    return time.perf_counter() - started


def _planned(root: Path) -> float:
    declare(root / "many" / "defs" / "benchmark", MANY)
    command = [sys.executable, "-m", "benchmarks.partitions", str(root / "many")]
    home = str(root / "many" / "home")
    return float(measure(command, {"FACTORY_HOME": home}).output)


def main(arguments: Sequence[str]) -> None:
    for result in run(*map(int, arguments)):
        print(result.name, result.measured, sep=": ")


if __name__ == "__main__":
    main(sys.argv[1:])
