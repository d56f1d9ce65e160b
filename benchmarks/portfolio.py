"""Train `kind: auto` on a large table as a run does, and answer one row by it and by its members.

    python -m benchmarks.portfolio [ROWS ...]
    python -m benchmarks.portfolio SIDE FOLDER     (one side, in a process of its own)

Twenty-four numbers and six categories of twenty values; the class depends on a few of both,
smoothly and by steps, and on chance.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from benchmarks.measure import FACTORY, Result, measure, run_sides

if TYPE_CHECKING:
    import pyarrow as pa

    from factory_assets.ml.artifacts.trained_model import TrainedModel

ROWS, NUMBERS, CATEGORIES = 100_000, 24, 6
MINUTES, MEGABYTES, RATIO = 5, 2048.0, 3.0
ANSWERS, ROUNDS = 200, 5

_DECLARED = """\
type: factory_assets.ModelPipeline
attributes:
  purpose: Which parts fail
  ingest: {source: {files: rows.parquet}}
  train: {target: y, model: {kind: auto}}
  evaluate: {metric: roc_auc, gates: []}
"""


def run(rows: int = ROWS) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        declare(folder / "defs" / "benchmark", rows)
        environment = {"FACTORY_DEFS": str(folder / "defs"), "FACTORY_HOME": str(folder / "home")}
        used = measure([FACTORY, "run", "benchmark"], environment)
        answered = measure(
            [sys.executable, "-m", "benchmarks.portfolio", "answers", name], environment
        )
    kept = next(line for line in used.output.splitlines() if " members kept" in line)
    blend, member = map(float, answered.output.splitlines()[0].split())
    columns = NUMBERS + CATEGORIES
    return [
        Result(
            f"auto on {rows:,} rows x {columns} columns, from file to served version",
            f"wall {used.wall:.0f} s, CPU {used.cpu:.0f} s, peak {used.megabytes:,.0f} MB;"
            f"{kept.rpartition(':')[0].rpartition(':')[2]}",
            f"wall <= {MINUTES} min, peak <= {MEGABYTES:,.0f} MB",
            used.wall <= 60 * MINUTES and used.megabytes <= MEGABYTES,
        ),
        Result(
            "one row answered by the blend and by its slowest member",
            f"{blend / member:.2f} x, {blend:.2f} ms to {member:.2f} ms",
            f"<= {RATIO:g} x",
            blend <= RATIO * member,
        ),
    ]


def declare(folder: Path, rows: int) -> None:
    """Write the pipeline and its rows."""
    folder.mkdir(parents=True)
    (folder / "defs.yaml").write_text(_DECLARED)
    numbers = [f"(hash(i, {c}) % 1000000) / 1e6 AS n{c}" for c in range(NUMBERS)]
    names = [f"'v' || hash(i, {c + 100}) % 20 AS c{c}" for c in range(CATEGORIES)]
    risk = "sin(6 * n0) + n1 * n2 + (n3 > 0.7)::INT + (c0 IN ('v1', 'v2', 'v3'))::INT"
    target = f"({risk} + (hash(i, 999) % 1000) / 1000.0 > 1.6)::BIGINT AS y"
    rows_of = f"SELECT {', '.join(numbers + names)}, i FROM range({rows}) AS every(i)"
    path = folder / "rows.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT * EXCLUDE (i), {target} FROM ({rows_of})) TO '{path}'")


def answers(folder: Path) -> None:
    """Print the milliseconds in which the blend answers one row, and its slowest member alone."""
    import pyarrow.parquet as pq

    from factory_assets.declarations.loader import load_pipeline
    from factory_assets.ml.artifacts.trained_model import load_trained
    from factory_assets.ml.models.portfolio.blend import BlendModel
    from factory_assets.results.latest import ResultQuery, latest_result
    from factory_assets.results.model import Candidate
    from factory_resources.home.home import Home

    home, pipeline = Home(folder / "home"), load_pipeline(folder / "defs" / "benchmark")
    candidate = latest_result(ResultQuery(pipeline, "train", home))
    assert isinstance(candidate, Candidate)
    trained = load_trained(candidate, home, pipeline.folder)
    row = pq.read_table(pipeline.folder / "rows.parquet").slice(0, 1)
    blend = trained.model
    assert isinstance(blend, BlendModel)
    one_hot = {i: [float(i == j) for j in range(max(blend.kept) + 1)] for i in blend.kept}
    alone = [
        replace(trained, model=BlendModel(trained.description.shape, {i: member}, one_hot[i]))
        for i, member in blend.kept.items()
    ]
    print(_answer(trained, row), max(_answer(one, row) for one in alone))


def _answer(trained: "TrainedModel", row: "pa.Table") -> float:
    """Return the milliseconds of an answer by the exported graph, in the best round."""
    from factory_assets.ml.artifacts.onnx_export import export
    from factory_assets.ml.artifacts.onnx_model import OnnxModel

    model = OnnxModel.of(export(trained))
    return 1000 * min(_median_seconds(lambda: model.outputs(row)) for _ in range(ROUNDS))


def _median_seconds(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(ANSWERS):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


if __name__ == "__main__":
    run_sides([answers], run, ROWS)
