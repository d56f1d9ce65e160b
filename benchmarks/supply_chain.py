"""The supply chain of a version: how long SBOM, ML-BOM and statement take together, and the check.

Both are measured in a process of their own, without its start.

python -m benchmarks.supply_chain
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.measure import FACTORY, Result, measure

_PIPELINE = "machine_failure"

_CODE = f"""
import time
from factory_assets.cli.shared import select
from factory_assets.exchange.version_documents import make_documents
from factory_assets.execution.supply_chain import require_unchanged
from factory_resources.home.home import Home
from factory_resources.tracking.registry import Registry
[pipeline] = select([{_PIPELINE!r}])
home = Home.from_env()
version = Registry(home).version(pipeline.name, 1)
started = time.perf_counter()
documents = make_documents(pipeline, 1, home)
made = time.perf_counter()
require_unchanged(version, home)
print(made - started, time.perf_counter() - made)
"""

_MADE, _CHECKED = 1.0, 0.1
"""Seconds."""


def run(rounds: int = 3) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        environment = {"FACTORY_HOME": str(Path(name) / "home")}
        measure([FACTORY, "run", _PIPELINE], environment)
        measure([FACTORY, "sbom", f"{_PIPELINE}@1", "--record"], environment)
        command = [sys.executable, "-c", _CODE]
        outputs = [measure(command, environment).output.split() for _ in range(rounds)]
    made, checked = (min(float(one[-2 + i]) for one in outputs) for i in (0, 1))
    return [
        Result("SBOM, ML-BOM, statement", f"{made:.2f} s", f"<= {_MADE:g} s", made <= _MADE),
        Result(
            "check before a version serves",
            f"{checked * 1000:.0f} ms",
            f"<= {_CHECKED * 1000:.0f} ms",
            checked <= _CHECKED,
        ),
    ]


if __name__ == "__main__":
    for result in run():
        print(f"{result.name}: {result.measured} (target {result.target})")
