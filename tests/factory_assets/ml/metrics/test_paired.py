"""Paired differences: nothing between identical models, signs that swap, and less than chance."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from factory_assets.ml.metrics.bootstrap import bootstrap_intervals
from factory_assets.ml.metrics.metrics import ScoredRows, metric_names
from factory_assets.ml.metrics.paired import paired_differences
from factory_assets.results.evaluation import MetricDifference
from factory_assets.spec.train import Task

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")


def two(task: Task, rows: int, seed: int, noise: float = 0.3) -> tuple[ScoredRows, ScoredRows]:
    """Return two models that err alike, each with some noise of its own."""
    generator = np.random.default_rng(seed)
    if task == "regression":
        truth = generator.normal(size=rows)
        shared = truth + generator.normal(size=rows)
        outputs = [shared + noise * generator.normal(size=rows) for _ in range(2)]
    else:
        classes = 2 if task == "binary" else 3
        truth = generator.integers(0, classes, rows)
        shared = generator.normal(size=(rows, classes))
        shared[np.arange(rows), truth] += 1.5
        own = [np.exp(shared + noise * generator.normal(size=shared.shape)) for _ in range(2)]
        outputs = [weights / weights.sum(axis=1, keepdims=True) for weights in own]
    first, second = (ScoredRows(task, truth, one, clip=1.0) for one in outputs)
    return first, second


def differences(
    first: ScoredRows, second: ScoredRows, resamples: int = 20, seed: int = 0
) -> dict[str, MetricDifference]:
    names = metric_names(first.task)
    return paired_differences(first, second, names, resamples=resamples, seed=seed)


@pytest.mark.parametrize("task", TASKS)
def test_identical_models_do_not_differ_at_all(task: Task) -> None:
    first, _ = two(task, 200, 0)
    found = differences(first, replace(first, outputs=first.outputs.copy()))
    assert {"binary": "roc_auc", "multiclass": "f1", "regression": "r2"}[task] in found
    assert {(one.value, one.low, one.high) for one in found.values()} == {(0.0, 0.0, 0.0)}


@pytest.mark.parametrize("task", TASKS)
def test_swapped_models_differ_by_the_same_with_the_other_sign(task: Task) -> None:
    first, second = two(task, 200, 1)
    there, back = differences(first, second), differences(second, first)
    assert there.keys() == back.keys()
    for name, one in there.items():
        assert back[name].value == -one.value
        assert one.low < one.high
        assert (back[name].low, back[name].high) == pytest.approx((-one.high, -one.low))


@pytest.mark.parametrize("task", TASKS)
def test_value_is_the_difference_of_the_metrics(task: Task) -> None:
    first, second = two(task, 150, 2)
    for name, one in differences(first, second).items():
        assert one.value == first.metrics()[name] - second.metrics()[name]
        assert one.low < one.value < one.high
        assert one.rows == 150


@pytest.mark.parametrize(("task", "metric"), [("binary", "roc_auc"), ("regression", "rmse")])
def test_paired_interval_is_narrower_than_those_of_the_models(task: Task, metric: str) -> None:
    first, second = two(task, 500, 3, noise=0.1)
    one = differences(first, second, resamples=50)[metric]
    low, high = bootstrap_intervals(first, [metric], resamples=100, seed=0)[metric]
    assert one.high - one.low < (high - low) / 2


def test_interval_misses_the_true_difference_about_as_often_as_it_may() -> None:
    """Both models are equally good; each end may be missed in 5 of 100 cases."""
    below = above = 0
    for seed in range(200):
        first, second = two("binary", 300, 100 + seed)
        (one,) = paired_differences(first, second, ["roc_auc"], resamples=100, seed=seed).values()
        below, above = below + (one.high < 0), above + (one.low > 0)
    assert 3 <= below <= 20
    assert 3 <= above <= 20


def test_differences_depend_on_the_seed_and_not_on_other_metrics() -> None:
    first, second = two("binary", 200, 4)
    both: dict[str, Any] = {"resamples": 60, "seed": 1}
    found = paired_differences(first, second, ["f1", "roc_auc"], **both)
    assert paired_differences(first, second, ["roc_auc"], **both) == {"roc_auc": found["roc_auc"]}
    assert differences(first, second, seed=2)["f1"] != differences(first, second, seed=3)["f1"]


def test_what_is_undefined_or_not_asked_for_has_no_difference() -> None:
    first, second = two("binary", 100, 5)
    one_class = [replace(one, truth=np.zeros(100, int)) for one in (first, second)]
    found = differences(*one_class, resamples=50)
    assert "roc_auc" not in found
    assert "accuracy" in found
    rare = np.zeros(100, int)
    rare[0] = 1
    # Fewer than two thirds of the resamples have the row; that is enough.
    both = (replace(one, truth=rare) for one in (first, second))
    assert "roc_auc" in differences(*both, resamples=50)
    assert differences(first, second, resamples=0) == {}
    assert paired_differences(first, second, [], resamples=50, seed=0) == {}
