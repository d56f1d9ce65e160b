"""A whole pipeline again when nothing changed: every stage must be reused."""

import tempfile
from pathlib import Path

from benchmarks.measure import FACTORY, Result, machine_failure, measure

SECONDS = 2.0
STAGES = 6


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        machine_failure(root / "defs", "benchmark", 10_000)
        environment = {"FACTORY_DEFS": str(root / "defs"), "FACTORY_HOME": str(root / "home")}
        measure([FACTORY, "run", "benchmark"], environment)
        again = measure([FACTORY, "run", "benchmark"], environment)
    lines = [line for line in again.output.splitlines() if line.startswith("benchmark · ")]
    reused = sum(line.endswith("reused") for line in lines)
    return [
        Result(
            "nothing changed",
            f"wall {again.wall:.1f} s, CPU {again.cpu:.1f} s, {reused} of {len(lines)} reused",
            f"wall <= {SECONDS:g} s, all {STAGES} reused",
            again.wall <= SECONDS and reused == len(lines) == STAGES,
        )
    ]
