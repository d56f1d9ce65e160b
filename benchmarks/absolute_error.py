"""`auto` by the squared and by the absolute error, judged by the mean distance on new rows.

    python -m benchmarks.absolute_error [--rows N]

The tables are those of numbers of `benchmarks.tolerance` for which `factory new` chooses `mae`,
because a hundredth of the rows would decide the RMSE. The network is left out, which takes most of
the time. The best constant is the median of the training rows.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.interactions import divided
from benchmarks.tolerance import MOST_NEW, ROWS, has_rows, mean_and_error, numbers
from factory_assets.cli.new.target import is_skewed
from factory_assets.ml.models.portfolio.defaults import members_of
from factory_assets.ml.training.fitting import fit
from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.spec.losses import NumberLoss
from factory_assets.spec.models import Auto, Network
from factory_resources.home.home import Home

SQUARED: NumberLoss = "squared_error"
ABSOLUTE: NumberLoss = "absolute_error"


@dataclass(frozen=True)
class Distances:
    """The mean distances on the new rows of a table."""

    constant: float
    squared: float
    absolute: float


def main() -> None:
    given = argparse.ArgumentParser()
    given.add_argument("--rows", type=int, default=ROWS)
    rows = given.parse_args().rows
    tables = enumerate(table for table in numbers() if has_rows(table, rows))
    found = [
        judged(table, rows, seed) for seed, table in tables if is_skewed(table["y"].to_numpy(float))
    ]
    print(f"{len(found)} skewed tables, {rows} rows: {line(found)}")


def portfolio(loss: NumberLoss, rows: int) -> Auto:
    """Return what `auto` tries by default, without the network."""
    default = members_of(Auto(kind="auto"), rows, rows, loss=loss)
    tried = tuple(member for member in default if not isinstance(member, Network))
    return Auto(kind="auto", members=tried, loss=loss)


def judged(table: pd.DataFrame, rows: int, seed: int) -> Distances:
    """Return the distances of a table of which some rows are learned from."""
    table = table.sample(min(len(table), rows + MOST_NEW), random_state=seed)
    training, validation, new = divided(table, rows)
    declared = {
        "purpose": "Compare losses",
        "ingest": {"source": {"files": "data.csv"}},
        "train": {"target": "y", "task": "regression", "seed": seed, "model": {"kind": "auto"}},
    }
    truth = new["y"].to_numpy()

    def distance(outputs: NDArray[np.float64] | float) -> float:
        return float(np.abs(outputs - truth).mean())

    with tempfile.TemporaryDirectory() as name:
        pipeline = Pipeline("p", PipelineSpec.model_validate(declared), Path(name))
        home = Home(Path(name) / "home")
        squared, absolute = (
            fit(pipeline, training, validation, home, model=portfolio(loss, rows)).trained
            for loss in (SQUARED, ABSOLUTE)
        )
        return Distances(
            distance(float(table["y"].iloc[:rows].median())),
            distance(squared.outputs(new)),
            distance(absolute.outputs(new)),
        )


def line(found: Sequence[Distances]) -> str:
    """Return the mean change, and on how many tables a constant is as good."""
    changes = [one.absolute / one.squared - 1 for one in found]
    squared = sum(one.squared >= one.constant for one in found)
    absolute = sum(one.absolute >= one.constant for one in found)
    return (
        f"MAE by the absolute error {mean_and_error(changes, '%')}; the median is as good on "
        f"{squared} by the squared error, on {absolute} by the absolute one"
    )


if __name__ == "__main__":
    main()
