"""Plan a thousand partitions, and run them again when none of them changed.

python -m benchmarks.partitions [PARTITIONS]
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from benchmarks.measure import FACTORY, Result, measure

PARTITIONS, ROWS = 1000, 50
PLANNING, PASS = 2.0, 0.010
_START = date(2020, 1, 1)
_DECLARED = """\
type: factory_assets.ModelPipeline
attributes:
  purpose: Readings of a meter, day by day
  partitions:
    day: {{every: day, start: "{start}", end: "{end}"}}
  ingest:
    source: {{files: "data/{{day}}.csv"}}
    contract:
      - {{name: heat, type: float64, range: [0, 100]}}
      - {{name: state, type: string}}
  clean: {{where: {{warm: heat > 1}}}}
"""


def run(partitions: int = PARTITIONS) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        declare(root / "defs" / "benchmark", partitions)
        environment = {"FACTORY_DEFS": str(root / "defs"), "FACTORY_HOME": str(root / "home")}
        first = measure([FACTORY, "run", "benchmark"], environment)
        again = measure([FACTORY, "run", "benchmark"], environment)
        planned = measure([sys.executable, "-m", "benchmarks.partitions", str(root)], environment)
    reused = again.output.count(f"{partitions} reused")
    seconds = float(planned.output)
    return [
        Result(
            f"planning {partitions:,} partitions",
            f"wall {seconds:.2f} s",
            f"wall <= {PLANNING:g} s",
            seconds <= PLANNING,
        ),
        Result(
            f"nothing changed in {partitions:,} partitions",
            f"wall {again.wall:.1f} s, {again.wall / partitions * 1000:.1f} ms each, process start "
            f"and both stages included; at first {first.wall:.0f} s",
            f"wall <= {PASS * 1000:g} ms each, all reused",
            again.wall / partitions <= PASS and reused == 2,
        ),
    ]


def declare(folder: Path, partitions: int) -> None:
    """Write the pipeline and its files, one per day."""
    (folder / "data").mkdir(parents=True)
    days = [(_START + timedelta(i)).isoformat() for i in range(partitions + 1)]
    (folder / "defs.yaml").write_text(_DECLARED.format(start=days[0], end=days[-1]))
    for i, day in enumerate(days[:-1]):
        rows = [f"{2 + (i + j) % 90},{'ab'[j % 2]}" for j in range(ROWS)]
        (folder / "data" / f"{day}.csv").write_text("\n".join(["heat,state", *rows]) + "\n")


def _seconds_to_plan(root: Path) -> float:
    """Measure the planning of the partitions, with all modules imported before."""
    from factory_assets.declarations.loader import load_pipeline
    from factory_assets.execution.backfill import wanted
    from factory_resources.home.home import Home

    pipeline = load_pipeline(root / "defs" / "benchmark")
    started = time.perf_counter()
    plan = wanted(pipeline, datetime.now(UTC), {}, Home.from_env())
    assert not plan.absent
    return time.perf_counter() - started


def main(arguments: Sequence[str]) -> None:
    if arguments and not arguments[0].isdigit():
        print(_seconds_to_plan(Path(arguments[0])))
        return
    for result in run(*map(int, arguments)):
        print(result.name, result.measured, sep=": ")


if __name__ == "__main__":
    main(sys.argv[1:])
