"""A dossier: how long its making takes, as PDF and as JSON, in a process of its own.

python -m benchmarks.dossier
"""

import tempfile
from pathlib import Path

from benchmarks.measure import FACTORY, Result, measure

_PIPELINE = "tumour_diagnosis"

SECONDS = {"pdf": 3.0, "json": 1.5}


def run(rounds: int = 3) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        environment = {"FACTORY_HOME": str(root / "home")}
        measure([FACTORY, "run", _PIPELINE], environment)
        results = []
        for form, most in SECONDS.items():
            out = root / f"dossier.{form}"
            command = [FACTORY, "dossier", f"{_PIPELINE}@1", "--format", form, "--out", str(out)]
            runs = [measure(command, environment) for _ in range(rounds)]
            used = min(runs, key=lambda one: one.wall)
            results.append(
                Result(
                    f"factory dossier --format {form}",
                    f"{used.wall:.2f} s ({used.cpu:.2f} CPU s), {used.megabytes:.0f} MB, "
                    f"{out.stat().st_size / 1000:.0f} kB written",
                    f"<= {most:g} s",
                    used.wall <= most,
                )
            )
    return results


if __name__ == "__main__":
    for result in run():
        print(f"{result.name}: {result.measured} (target {result.target})")
