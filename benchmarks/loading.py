"""Load a code location of many pipelines, after imports, and check that no heavy import happens.

python -m benchmarks.loading FOLDER    (measures itself on the pipelines below FOLDER)
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Result, machine_failure, measure

PIPELINES = 300
SECONDS, MILLISECONDS = 3.0, 10.0
HEAVY = ("torch", "lightning", "mlflow", "sklearn", "pandas")


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        for i in range(PIPELINES):
            machine_failure(Path(name, "defs"), f"pipeline_{i}", 10_000)
        command = [sys.executable, "-m", "benchmarks.loading", f"{name}/defs"]
        used = measure(command, {"FACTORY_HOME": f"{name}/home"})
    report = json.loads(used.output.splitlines()[-1])
    each = 1000 * report["cpu"] / PIPELINES
    heavy = ", ".join(report["heavy"]) or "none"
    return [
        Result(
            f"loading {PIPELINES} pipelines",
            f"wall {report['wall']:.1f} s, CPU {each:.1f} ms each, heavy imports: {heavy}",
            f"wall <= {SECONDS:g} s, CPU <= {MILLISECONDS:g} ms each, none",
            report["wall"] <= SECONDS and each <= MILLISECONDS and not report["heavy"],
        )
    ]


def load(folder: Path) -> dict[str, object]:
    """Load like a code server, up to its repository."""
    from factory_assets.definitions import build_defs

    wall, cpu = time.perf_counter(), time.process_time()
    definitions = build_defs(sorted(folder.iterdir()))
    assets = definitions.get_repository_def().asset_graph.get_all_asset_keys()
    used = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    if len(assets) != 6 * PIPELINES:
        raise RuntimeError(f"{len(assets)} assets, not {6 * PIPELINES}")
    return {**used, "heavy": [name for name in HEAVY if name in sys.modules]}


if __name__ == "__main__":
    print(json.dumps(load(Path(sys.argv[1]))))
