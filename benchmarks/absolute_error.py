"""`auto` by the squared and by the absolute error, judged by the mean distance on new rows.

    python -m benchmarks.absolute_error [--rows N]

The tables are those of numbers of `benchmarks.tolerance`. They are told apart by what
`factory new` does: it judges by `mae` if a hundredth of the rows would decide the RMSE. The network
is left out, which takes most of the time. The best constant is the median of the training rows.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.interactions import divided
from benchmarks.tolerance import MOST_NEW, ROWS, has_rows, mean_and_error, numbers
from factory_assets.ml.models.portfolio.defaults import members_of
from factory_assets.ml.training.fitting import fit
from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.spec.models import Auto, Network, NumberLoss
from factory_resources.home.home import Home

LOSSES: tuple[NumberLoss, ...] = ("squared_error", "absolute_error")

FEW, HALF = 0.01, 0.5
"""A table is skewed if so few of its rows have so much of the squared error."""


@dataclass(frozen=True)
class Distances:
    """The mean distances on the new rows of a table."""

    is_skewed: bool
    median: float
    """Of the best constant."""
    of: dict[NumberLoss, float]


def main() -> None:
    given = argparse.ArgumentParser()
    given.add_argument("--rows", type=int, default=ROWS)
    rows = given.parse_args().rows
    tables = (table for table in numbers() if has_rows(table, rows))
    found = [judged(table, rows, seed) for seed, table in enumerate(tables)]
    for skewed in (True, False):
        some = [one for one in found if one.is_skewed == skewed]
        if some:
            print(f"{'skewed' if skewed else 'other'} tables, {rows} rows: {line(some)}")


def portfolio(loss: NumberLoss, rows: int) -> Auto:
    """Return what `auto` tries by default, without the network."""
    default = members_of(Auto(kind="auto"), rows, rows, loss=loss)
    tried = tuple(member for member in default if not isinstance(member, Network))
    return Auto(kind="auto", members=tried, loss=loss)


def is_skewed(truth: np.ndarray) -> bool:
    """Say whether few rows have most of the squared error."""
    far = np.sort(np.square(truth - truth.mean()))
    return bool(far[-max(1, int(len(far) * FEW)) :].sum() > HALF * far.sum())


def judged(table: pd.DataFrame, rows: int, seed: int) -> Distances:
    """Return the distances of a table of which some rows are learned from."""
    skewed = is_skewed(table["y"].to_numpy())
    table = table.sample(min(len(table), rows + MOST_NEW), random_state=seed)
    training, validation, new = divided(table, rows)
    declared = {
        "purpose": "Compare losses",
        "ingest": {"source": {"files": "data.csv"}},
        "train": {"target": "y", "seed": seed, "model": {"kind": "auto"}, "task": "regression"},
    }
    truth = new["y"].to_numpy()
    known = np.concatenate([part["y"].to_numpy() for part in (training, validation)])
    found = {}
    with tempfile.TemporaryDirectory() as name:
        pipeline = Pipeline("p", PipelineSpec.model_validate(declared), Path(name))
        home = Home(Path(name) / "home")
        for loss in LOSSES:
            model = portfolio(loss, rows)
            fitted = fit(pipeline, training, validation, home, model=model)
            found[loss] = float(np.abs(fitted.trained.outputs(new) - truth).mean())
    return Distances(skewed, float(np.abs(truth - np.median(known)).mean()), found)


def line(found: Sequence[Distances]) -> str:
    """Return the mean change, and on how many tables a constant is better."""
    squared, absolute = LOSSES
    changes = [one.of[absolute] / one.of[squared] - 1 for one in found if one.of[squared] > 0]
    lost = [sum(one.of[loss] >= one.median for one in found) for loss in LOSSES]
    return (
        f"MAE by the absolute error {mean_and_error(changes, '%')}, the median is as good on "
        f"{lost[0]} of {len(found)} by the squared error, {lost[1]} by the absolute one"
    )


if __name__ == "__main__":
    main()
