"""Train on a table that is larger than the memory allowed.

    python -m benchmarks.streaming [ROWS ...]
    python -m benchmarks.streaming SIDE FOLDER     (one side, in a process of its own)

Forty-nine numbers and a target of eight bytes each: 20,000,000 rows are 8 GB. Runs the stage
`train` as a run does, for one epoch, including the model version in MLflow.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Result, measure, run_sides

if TYPE_CHECKING:
    from factory_assets.spec import Pipeline

ROWS = 20_000_000
COLUMNS = 49
MEGABYTES = 2048.0


def run(rows: int = ROWS) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "benchmarks.streaming"]
        measure([*command, "prepare", name], {"BENCHMARK_ROWS": str(rows)})
        used = measure([*command, "factory", name], {})
    size = rows * (COLUMNS + 1) * 8 / 1e9
    return [
        Result(
            f"training on {rows:,} rows ({size:.1f} GB), one epoch",
            f"peak {used.megabytes:,.0f} MB, wall {used.wall:.0f} s, CPU {used.cpu:.0f} s, "
            f"ROC AUC {used.output.splitlines()[-1]}",
            f"peak <= {MEGABYTES:,.0f} MB",
            used.megabytes <= MEGABYTES,
        )
    ]


def prepare(folder: Path) -> None:
    """Store the rows as the stage `split` stores them."""
    from factory_assets.results.data import SplitResult
    from factory_resources.home.home import Home
    from factory_resources.instance import prepare as prepare_home
    from factory_resources.sql.engine import sealed
    from factory_resources.tables.writer import write

    home = Home(folder / "home")
    prepare_home(home)
    rows = int(os.environ["BENCHMARK_ROWS"])
    ranges = {"train": (0, rows), "validation": (rows, rows + rows // 20), "test": (-1, 0)}
    snapshots = {}
    for part, (first, last) in ranges.items():
        with home.scratch() as scratch, sealed(read=[], write=scratch) as connection:
            table, query = f"benchmark/split_{part}", _generated(first, last)
            snapshots[part] = write(connection, query, home=home, table=table, folder=scratch)
    (folder / "parts.json").write_text(SplitResult(**snapshots).model_dump_json())


def _generated(first: int, last: int) -> str:
    """Return SQL for the rows; the target depends on three of the numbers and on noise."""
    numbers = [f"hash(i, {c}) % 1000000 / 1000.0 AS n{c}" for c in range(COLUMNS)]
    target = "(n0 + n1 - n2 + hash(i, 99) % 400 > 700)::BIGINT AS y"
    inner = f"SELECT {', '.join(numbers)}, i FROM range({first}, {last}) AS numbers(i)"
    return f"SELECT * EXCLUDE (i), {target}, '{'0' * 64}' AS _file, i + 1 AS _row FROM ({inner})"


def factory(folder: Path) -> float:
    from factory_assets.results.data import SplitResult
    from factory_assets.stages.train import train
    from factory_resources.home.home import Home

    parts = SplitResult.model_validate_json((folder / "parts.json").read_bytes())
    candidate = train(_pipeline(folder), parts, Home(folder / "home"))
    return round(candidate.validation["roc_auc"], 3)


def _pipeline(folder: Path) -> "Pipeline":
    from factory_assets.spec import Pipeline, PipelineSpec

    spec = {
        "purpose": "measure",
        "ingest": {"source": {"files": "rows.parquet"}},
        "train": {"target": "y", "model": {"kind": "mlp", "hidden": [64, 64], "epochs": 1}},
    }
    return Pipeline("benchmark", PipelineSpec.model_validate(spec), folder)


if __name__ == "__main__":
    run_sides((prepare, factory), run, ROWS)
