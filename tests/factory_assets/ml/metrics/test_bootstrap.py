"""Bootstrap intervals: repeatable, of the right width, with bounded work."""

from dataclasses import replace

import numpy as np
import pytest

from factory_assets.ml.metrics.bootstrap import MIN_RESAMPLES, bootstrap_intervals, resample_count
from factory_assets.ml.metrics.metrics import ScoredRows


def scored(rows: int, seed: int) -> ScoredRows:
    generator = np.random.default_rng(seed)
    truth = (generator.random(rows) < 0.3).astype(np.int64)
    chance = np.clip(0.3 + 0.2 * truth + generator.normal(0, 0.2, rows), 0, 1)
    return ScoredRows("binary", truth, np.stack([1 - chance, chance], axis=1))


def test_intervals_depend_on_the_seed_and_not_on_the_order_of_metrics() -> None:
    rows = scored(300, 0)
    first = bootstrap_intervals(rows, ["roc_auc", "f1"], resamples=60, seed=1)
    assert first == bootstrap_intervals(rows, ["f1", "roc_auc"], resamples=60, seed=1)
    assert first != bootstrap_intervals(rows, ["roc_auc", "f1"], resamples=60, seed=2)
    assert list(first) == ["f1", "roc_auc"]


def test_interval_covers_the_true_value_about_as_often_as_its_level() -> None:
    true = (2 / np.pi) ** 0.5
    hits = 0
    for seed in range(100):
        truth = np.random.default_rng(seed).normal(size=200)
        rows = ScoredRows("regression", truth, np.zeros(200))
        low, high = bootstrap_intervals(rows, ["mae"], resamples=100, seed=seed)["mae"]
        hits += low <= true <= high
    assert 88 <= hits <= 99


def test_interval_matches_the_standard_error() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=1000)
    rows = ScoredRows("regression", truth, np.zeros(1000))
    low, high = bootstrap_intervals(rows, ["mae"], resamples=400, seed=0)["mae"]
    assert high - low == pytest.approx(2 * 1.96 * np.abs(truth).std() / 1000**0.5, rel=0.15)
    assert low < np.abs(truth).mean() < high


def test_no_resamples_or_no_metrics_give_no_intervals() -> None:
    assert bootstrap_intervals(scored(50, 0), ["roc_auc"], resamples=0, seed=0) == {}
    assert bootstrap_intervals(scored(50, 0), [], resamples=10, seed=0) == {}


@pytest.mark.parametrize("metric", ["balanced_accuracy", "f1"])
def test_a_mean_of_classes_is_one_of_all_classes_in_each_resample(metric: str) -> None:
    # The third class has two rows, both predicted wrongly: a seventh of the resamples lack it.
    truth = np.repeat([0, 1, 2], (100, 100, 2))
    outputs = np.eye(3)[np.repeat([0, 1, 0], (100, 100, 2))]
    rows = ScoredRows("multiclass", truth, outputs)
    low, high = bootstrap_intervals(rows, [metric], resamples=200, seed=0)[metric]
    assert low <= rows.metrics()[metric] <= high <= 2 / 3
    singles = np.append(np.zeros(50, int), [1, 2, 3])
    singletons = ScoredRows("multiclass", singles, np.eye(4)[[0] * 53])
    intervals = bootstrap_intervals(singletons, [metric, "accuracy"], resamples=60, seed=0)
    assert set(intervals) == {"accuracy"}


def test_a_metric_that_is_mostly_undefined_gets_no_interval() -> None:
    truth = np.zeros(40, int)
    truth[0] = 1
    chance = np.linspace(0, 1, 40)
    rows = ScoredRows("binary", truth, np.stack([1 - chance, chance], axis=1))
    result = bootstrap_intervals(rows, ["roc_auc", "accuracy"], resamples=100, seed=0)
    assert "accuracy" in result
    one_class = ScoredRows("binary", np.zeros(40, int), rows.outputs)
    assert set(bootstrap_intervals(one_class, ["roc_auc", "accuracy"], resamples=60, seed=0)) == {
        "accuracy"
    }


@pytest.mark.parametrize(
    ("rows", "metrics", "requested", "expected"),
    [
        (20_000, 2, 200, 200),
        (200_000, 2, 200, 100),
        (10_000_000, 3, 200, MIN_RESAMPLES),
        (10_000_000, 3, 20, 20),
        (100, 1, 10_000, 10_000),
    ],
)
def test_resample_count_bounds_the_work(
    rows: int, metrics: int, requested: int, expected: int
) -> None:
    assert resample_count(rows, metrics, requested) == expected


def test_intervals_of_ranking_metrics_are_those_of_the_resampled_rows() -> None:
    rows, resamples = scored(200, 3), 60
    # Ties, as probabilities that were rounded have.
    chance = rows.outputs[:, 1].round(1)
    rows = replace(rows, outputs=np.stack([1 - chance, chance], axis=1))
    ordered = rows.take((-chance).argsort(kind="stable"))
    generator = np.random.default_rng(5)
    drawn = [ordered.take(generator.integers(0, 200, 200)).metrics() for _ in range(resamples)]
    names = ["average_precision", "roc_auc", "brier"]
    found = bootstrap_intervals(rows, names, resamples=resamples, seed=5)
    for name in names:
        expected = np.percentile([metrics[name] for metrics in drawn], [2.5, 97.5])
        assert found[name] == pytest.approx(tuple(expected), abs=1e-12)
