"""Draft and train on a table of thousands of columns: does the time grow faster than the columns?

    python -m benchmarks.wide_table [COLUMNS ...]
    python -m benchmarks.wide_table SIDE FOLDER     (one side, in a process of its own)

The table has few rows, as measurements of genes or spectra have, and the model is a linear one. The
plain side is pandas and scikit-learn: read, scale, fit and score.
"""

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import FACTORY, Result, Usage, measure, run_sides

COLUMNS, ROWS = 4_000, 250
GROWTH = 5.0
"""Times of a quarter of the columns; four are in proportion."""

_COMMAND = [sys.executable, "-m", "benchmarks.wide_table"]
_FILE = "genes.csv"


def run(columns: int = COLUMNS) -> list[Result]:
    few, many = (_measured(number) for number in (columns // 4, columns))
    results = []
    for side, name in (("draft", "drafted"), ("factory", "run to its evaluation")):
        growth = many[side].cpu / few[side].cpu
        results.append(
            Result(
                f"table of {columns:,} columns {name}",
                f"CPU {growth:.1f}x of {columns // 4:,} columns ({many[side].cpu:.1f} / "
                f"{few[side].cpu:.1f} s), {many[side].cpu / many['plain'].cpu:.1f}x of plain "
                f"({many['plain'].cpu:.1f} s), wall {many[side].wall:.1f} s, "
                f"peak {many[side].megabytes:,.0f} MB",
                f"CPU <= {GROWTH:g}x",
                growth <= GROWTH,
            )
        )
    return results


def _measured(columns: int) -> dict[str, Usage]:
    with tempfile.TemporaryDirectory() as name:
        measure([*_COMMAND, "prepare", name], {"BENCHMARK_COLUMNS": str(columns)})
        given = {"FACTORY_HOME": f"{name}/home", "FACTORY_DEFS": f"{name}/drafted"}
        draft = [FACTORY, "new", "drafted", "--from", f"{name}/{_FILE}", "--target", "status"]
        return {
            "draft": measure([*draft, "--in", f"{name}/drafted"], given),
            "factory": measure([*_COMMAND, "factory", name], {}),
            "plain": measure([*_COMMAND, "plain", name], {}),
        }


def prepare(folder: Path) -> None:
    import numpy as np
    import pandas as pd

    columns = int(os.environ["BENCHMARK_COLUMNS"])
    draw = np.random.default_rng(0)
    cells = draw.normal(size=(ROWS, columns)).round(4)
    frame = pd.DataFrame(cells, columns=[f"g{number}" for number in range(columns)])
    noisy = cells[:, :8].sum(axis=1) + draw.normal(size=ROWS)
    frame["status"] = np.where(noisy > 0, "case", "control")
    frame.to_csv(folder / _FILE, index=False)
    (folder / "drafted").mkdir()


def factory(folder: Path) -> None:
    import yaml

    from factory_assets.declarations.loader import load_pipeline
    from factory_assets.execution.requests import StageRequest
    from factory_assets.execution.runner import run_stage
    from factory_assets.results.stages import STAGES
    from factory_resources.home.home import Home

    drafted = folder / "drafted" / "drafted" / "defs.yaml"
    declared = yaml.safe_load(drafted.read_text())
    declared["attributes"]["train"]["model"] = {"kind": "linear"}
    drafted.write_text(yaml.safe_dump(declared, sort_keys=False))
    pipeline, home = load_pipeline(drafted.parent), Home(folder / "home")
    for stage in STAGES[: STAGES.index("evaluate") + 1]:
        run_stage(StageRequest(pipeline, stage, home, "run"))


def plain(folder: Path) -> None:
    import pandas as pd
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import average_precision_score
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    frame = pd.read_csv(folder / _FILE)
    truth = frame.pop("status") == "case"
    train, test, known, unknown = train_test_split(frame, truth, test_size=0.2, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(train, known)
    print(average_precision_score(unknown, model.predict_proba(test)[:, 1]))


if __name__ == "__main__":
    run_sides((prepare, factory, plain), run, COLUMNS)
