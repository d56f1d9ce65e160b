"""Run a pipeline again when nothing changed: all stages are reused, whatever the source's size."""

import tempfile
from pathlib import Path

import yaml

from benchmarks.measure import FACTORY, Result, machine_failure, measure
from benchmarks.readings import COLUMNS, rows_sql

ROWS = 20_000_000
SECONDS, CPU = 0.6, 0.5
STAGE_NAMES = ("ingest", "clean", "split", "train", "evaluate", "deploy")
STAGES = len(STAGE_NAMES)


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        machine_failure(root / "defs", "benchmark", 10_000)
        small = _again("nothing changed", root)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        size = _large(root / "defs" / "benchmark", ROWS)
        large = _again(f"nothing changed, CSV of {ROWS:,} rows ({size / 1e9:.1f} GB)", root)
    return [small, large]


def _again(name: str, root: Path) -> Result:
    environment = {"FACTORY_DEFS": str(root / "defs"), "FACTORY_HOME": str(root / "home")}
    measure([FACTORY, "run", "benchmark"], environment)
    runs = [measure([FACTORY, "run", "benchmark"], environment) for _ in range(3)]
    again = min(runs, key=lambda used: used.wall)
    reported = [line for line in again.output.splitlines() if line.startswith("benchmark · ")]
    lines = [line for line in reported if line.split()[2] in STAGE_NAMES and "warning" not in line]
    reused = sum(line.endswith("reused") for line in lines)
    return Result(
        name,
        f"wall {again.wall:.2f} s, CPU {again.cpu:.2f} s, {reused} of {len(lines)} reused",
        f"wall <= {SECONDS:g} s, CPU <= {CPU:g} s, all {STAGES} reused",
        again.wall <= SECONDS and again.cpu <= CPU and reused == len(lines) == STAGES,
    )


def _large(folder: Path, rows: int) -> int:
    """Declare a pipeline that reads many rows and trains on one per machine; return the bytes."""
    import duckdb

    folder.mkdir(parents=True)
    source = folder / "readings.csv"
    query = f"SELECT * EXCLUDE (i) FROM ({rows_sql(rows)})"
    duckdb.execute(f"COPY ({query}) TO '{source}' (FORMAT csv)")
    attributes = {
        "purpose": "Measure",
        "ingest": {
            "source": {"files": "readings.csv"},
            "contract": [{"name": name, "type": kind} for name, kind in COLUMNS.items()],
        },
        "clean": {"deduplicate": ["machine"]},
        "train": {"target": "torque", "exclude": ["machine"], "model": {"kind": "linear"}},
    }
    document = {"type": "factory_assets.ModelPipeline", "attributes": attributes}
    (folder / "defs.yaml").write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return source.stat().st_size


if __name__ == "__main__":
    for result in run():
        print(result.name, result.measured, sep=": ")
