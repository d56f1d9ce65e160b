"""`auto` with and without boosting that reads products and differences of its inputs.

    python -m benchmarks.interactions [TABLE ...] [--seeds N] [--rows N]

Tables are drawn: rare failures that follow from limits of products, of differences or of single
columns, and frequent ones that depend on the columns smoothly, with or without products. Beside the
drawn rows that `auto` gets, 10,000 more are judged. Its network, which reads neither, is left out,
because it takes most of the time.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from factory_assets.ml.models.portfolio.defaults import INTERACTIONS, members_of
from factory_assets.ml.training.fitting import fit
from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.spec.models import Auto
from factory_resources.home.home import Home

Combination = Literal["product", "difference", "none"]
Figures = tuple[float, float, float]
"""ROC AUC, log loss and F1 at the chosen threshold, on rows that nothing was fitted on."""

ROWS, JUDGED, COLUMNS = 3_000, 10_000, 8


def main() -> None:
    given = argparse.ArgumentParser()
    given.add_argument("tables", nargs="*", default=[*TABLES])
    given.add_argument("--seeds", type=int, default=5)
    given.add_argument("--rows", type=int, default=ROWS)
    options = given.parse_args()
    for name in options.tables:
        found = [
            compared(TABLES[name](seed, options.rows + JUDGED), options.rows, seed)
            for seed in range(options.seeds)
        ]
        print(f"{name}: {_line(found)}", flush=True)


def _line(found: Sequence[tuple[Figures, Figures]]) -> str:
    parts = []
    for i, metric in enumerate(("ROC AUC", "log loss", "F1")):
        gains = [read[i] - plain[i] for plain, read in found]
        error = stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
        without = mean(plain[i] for plain, _ in found)
        parts.append(f"{metric} {without:.4f} without, {mean(gains):+.4f} ± {error:.4f} with")
    return "; ".join(parts)


def _columns(chance: np.random.Generator, rows: int) -> NDArray[np.float64]:
    """[columns, rows]: normal, log-normal and even numbers, some of which go with one before."""
    drawn: list[NDArray[np.float64]] = []
    for _ in range(COLUMNS):
        ways = chance.normal(50, 10, rows), chance.lognormal(3, 0.5, rows), chance.random(rows) * 90
        column = ways[chance.integers(len(ways))]
        if drawn and chance.random() < 0.3:
            column = 0.7 * drawn[-1] + 0.7 * column
        drawn.append(column.round(1))
    return np.stack(drawn)


def _combined(pair: NDArray[np.float64], combination: Combination) -> NDArray[np.float64]:
    if combination == "none":
        return pair[0]
    combined: NDArray[np.float64] = (
        pair[0] * pair[1] if combination == "product" else pair[0] - pair[1]
    )
    return combined


def rules(combination: Combination, seed: int, rows: int) -> pd.DataFrame:
    """Return rows of which some 4 % fail: by three limits, each of a combination and one column."""
    chance = np.random.default_rng(seed)
    columns = _columns(chance, rows)
    fails = chance.random(rows) < 0.002
    for _ in range(3):
        *pair, other = columns[chance.choice(COLUMNS, 3, replace=False)]
        sign, combined = chance.choice([-1, 1], 2), _combined(np.stack(pair), combination)
        near = sign[0] * other >= np.quantile(sign[0] * other, chance.uniform(0.4, 0.8))
        limit = np.quantile(sign[1] * combined[near], 1 - 0.013 / near.mean())
        fails |= near & (sign[1] * combined >= limit)
    return _table(columns, fails)


def smooth(combination: Combination, seed: int, rows: int) -> pd.DataFrame:
    """Return rows of which a fifth fail, with a chance that six terms raise or lower."""
    chance = np.random.default_rng(1_000 + seed)
    columns = _columns(chance, rows)
    scaled = (columns - columns.mean(axis=1)[:, None]) / columns.std(axis=1)[:, None]
    score = chance.logistic(size=rows) * 0.4
    for _ in range(6):
        pair = scaled[chance.choice(COLUMNS, 2, replace=False)]
        score += chance.uniform(-1, 1) * np.tanh(_combined(pair, combination))
    return _table(columns, score >= np.quantile(score, 0.8))


def _table(columns: NDArray[np.float64], fails: NDArray[np.bool_]) -> pd.DataFrame:
    table = pd.DataFrame(columns.T, columns=[f"sensor_{i}" for i in range(COLUMNS)])
    return table.assign(y=np.where(fails, "fails", "works"))


TABLES: dict[str, Callable[[int, int], pd.DataFrame]] = {
    f"{kind.__name__}_{combination}": partial(kind, combination)
    for kind in (rules, smooth)
    for combination in ("product", "difference", "none")
}


def divided(table: pd.DataFrame, rows: int) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Return the training, validation and judged rows, if so many are learned from."""
    training, validation, judged = (
        pa.Table.from_pandas(table.iloc[a:b], preserve_index=False)
        for a, b in ((0, rows * 85 // 100), (rows * 85 // 100, rows), (rows, len(table)))
    )
    return training, validation, judged


def compared(table: pd.DataFrame, rows: int, seed: int) -> tuple[Figures, Figures]:
    """Fit without and with interactions, on the first rows; judge both on the others."""
    of_many = members_of(Auto(kind="auto"), rows, rows)
    members = [one for one in of_many if one.kind not in ("mlp", "tabm")]
    plain = [one for one in members if getattr(one, "interactions", 0) != INTERACTIONS]
    training, validation, judged = divided(table, rows)
    without, read = (
        _figures([one.model_dump(mode="json") for one in tried], training, validation, judged, seed)
        for tried in (plain, members)
    )
    return without, read


def _figures(
    members: list[dict[str, Any]],
    training: pa.Table,
    validation: pa.Table,
    judged: pa.Table,
    seed: int,
) -> Figures:
    model = {"kind": "auto", "members": members}
    declared = {
        "purpose": "Compare what boosting reads",
        "ingest": {"source": {"files": "data.csv"}},
        "train": {
            "target": "y",
            "positive": "fails",
            "threshold": {"maximise": "f1"},
            "seed": seed,
            "model": model,
        },
    }
    with tempfile.TemporaryDirectory() as name:
        pipeline = Pipeline("p", PipelineSpec.model_validate(declared), Path(name))
        trained = fit(pipeline, training, validation, Home(Path(name) / "home")).trained
    outputs, truth = trained.outputs(judged)[:, 1], trained.target.values(judged)
    predicted = outputs >= (trained.description.threshold or 0.0)
    return (
        float(roc_auc_score(truth, outputs)),
        float(log_loss(truth, outputs)),
        float(f1_score(truth, predicted)),
    )


if __name__ == "__main__":
    main()
