"""Compare a whole run through Dagster with a plain script: the same functions in the same order.

    python -m benchmarks.pipeline [ROWS ...]

Each side is a process with its own prepared home; the script runs first. The data comes from the
simulation that ships with the factory.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.measure import FACTORY, Result, Usage, machine_failure, measure

ROWS = (10_000, 1_000_000)
CPU_RATIO, WALL_SECONDS = 1.15, 3.0


def run(sizes: tuple[int, ...] = ROWS) -> list[Result]:
    return [_compare(rows) for rows in sizes]


def _compare(rows: int) -> Result:
    script, dagster = both(rows)
    ratio, added = dagster.cpu / script.cpu, dagster.wall - script.wall
    return Result(
        f"six stages, {rows:,} rows",
        f"CPU {ratio:.2f}x ({dagster.cpu:.1f} / {script.cpu:.1f} s), wall {added:+.1f} s "
        f"({dagster.wall:.1f} - {script.wall:.1f} s), peak {dagster.megabytes:,.0f} / "
        f"{script.megabytes:,.0f} MB",
        f"CPU <= {CPU_RATIO}x, wall <= +{WALL_SECONDS:g} s",
        ratio <= CPU_RATIO and added <= WALL_SECONDS,
    )


def both(rows: int) -> tuple[Usage, Usage]:
    """Return the usage of the script and of the factory."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folder = machine_failure(root / "defs", "benchmark", rows)
        environment = {"FACTORY_DEFS": str(root / "defs")}
        homes = {side: {"FACTORY_HOME": str(root / side)} for side in ("script", "dagster")}
        for home in homes.values():
            # A home is set up once, not on every run, so it is not measured.
            measure([FACTORY, "env"], home)
        command = [sys.executable, "-m", "benchmarks.plain_script", str(folder)]
        script = measure([*command, homes["script"]["FACTORY_HOME"]], environment)
        dagster = measure(
            [FACTORY, "run", "benchmark", "--no-reuse"], environment | homes["dagster"]
        )
        return script, dagster


if __name__ == "__main__":
    for result in run(tuple(map(int, sys.argv[1:])) or ROWS):
        print(result.name, result.measured, sep=": ")
