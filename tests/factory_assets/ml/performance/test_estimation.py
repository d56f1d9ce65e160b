"""Estimated performance: right without a shift and with one, and honest where it cannot be."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.ml.performance.estimation import (
    ASSUMPTION,
    ESTIMABLE,
    Estimate,
    PerformanceEstimator,
)
from factory_assets.ml.performance.estimation_error import EstimationErrors
from factory_assets.ml.performance.labelled_rows import Labelled
from factory_resources.errors import DataError
from tests.factory_assets.ml.performance.cases import Population
from tests.long_run import in_long

SHIFTED = Population(mean=0.8, rare=0.6)
METRICS = ("accuracy", "f1", "roc_auc", "brier", "mae", "rmse", "r2", "ece")


@cache
def estimator(classes: int) -> PerformanceEstimator:
    reference = Population().draw(1_500, classes, 0)
    return PerformanceEstimator.fit(reference, 0.5, METRICS, 0)


def real(rows: Labelled) -> dict[str, float]:
    return ScoredRows(rows.task, rows.truth, rows.outputs).metrics(METRICS)


def estimated(rows: Labelled, classes: int) -> dict[str, Estimate]:
    return estimator(classes).estimate(rows.inputs, rows.outputs)


@pytest.mark.parametrize("classes", [0, 2, *in_long([3])])
@pytest.mark.parametrize("population", [SHIFTED, *in_long([Population()])])
def test_the_truth_is_nearly_always_inside_the_interval(
    classes: int, population: Population
) -> None:
    inside = []
    for seed in range(1, 11):
        window = population.draw(800, classes, seed)
        found, truth = estimated(window, classes), real(window)
        assert set(found) == {*METRICS} & ESTIMABLE[window.task]
        for name, one in found.items():
            inside.append(one.low <= truth[name] <= one.high)
            assert one.low < one.value < one.high
            assert one.trusted
            assert one.why == ASSUMPTION
    assert np.mean(inside) >= 0.9


@pytest.mark.parametrize(("classes", "metric"), [(0, "rmse"), (2, "f1"), (3, "accuracy")])
def test_estimates_follow_a_shift_of_the_inputs(classes: int, metric: str) -> None:
    window = Population(mean=1.3).draw(3_000, classes, 1)
    found, truth = estimated(window, classes)[metric].value, real(window)[metric]
    unchanged = estimator(classes).known[metric]
    assert abs(found - truth) < abs(unchanged - truth) / 2


def test_a_change_of_the_truth_is_not_seen_and_the_estimate_says_so() -> None:
    window = Population().draw(3_000, 2, 1)
    reversed_truth = Labelled(window.inputs, window.outputs, 1 - window.truth)
    found = estimated(reversed_truth, 2)["accuracy"]
    assert real(reversed_truth)["accuracy"] < found.low
    assert "cannot be seen without labels" in found.why


def test_a_window_far_from_the_reference_is_not_trusted() -> None:
    window = Population(mean=6.0).draw(500, 2, 1)
    found = estimated(window, 2)["accuracy"]
    assert not found.trusted
    assert "no labelled rows" in found.why


def test_values_that_no_reference_row_has_are_far_away() -> None:
    window = Population(rare=0.7, word="new").draw(500, 2, 1)
    assert not estimated(window, 2)["accuracy"].trusted


def test_inputs_that_are_all_missing_can_be_read() -> None:
    window = Population().draw(300, 2, 1)
    rows = window.inputs.num_rows
    inputs = pa.table(
        {
            "first": pa.nulls(rows, pa.float64()),
            "second": pa.nulls(rows),
            "word": pa.nulls(rows, pa.string()),
        }
    )
    found = estimator(2).estimate(inputs, window.outputs)
    assert 0 <= found["accuracy"].low <= found["accuracy"].value <= found["accuracy"].high <= 1
    assert not found["accuracy"].trusted


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_one_row_has_a_wide_interval_and_no_rows_have_no_estimate(classes: int) -> None:
    window = Population().draw(1, classes, 5)
    found = estimated(window, classes)
    metric = "accuracy" if classes else "mae"
    assert found[metric].low <= real(window)[metric] <= found[metric].high
    none = Labelled(window.inputs.slice(0, 0), window.outputs[:0], window.truth[:0])
    assert estimated(none, classes) == {}


def test_a_reference_of_one_class_leaves_out_what_needs_two() -> None:
    reference = Population().draw(400, 2, 0)
    only = Labelled(reference.inputs, reference.outputs, np.zeros(400, dtype=np.int64))
    learned = PerformanceEstimator.fit(only, 0.5, METRICS, 0)
    found = learned.estimate(reference.inputs, reference.outputs)
    assert "roc_auc" not in found
    assert found["accuracy"].value == pytest.approx((reference.outputs[:, 1] < 0.5).mean())


def test_few_rows_of_reference_measure_no_small_error() -> None:
    few = PerformanceEstimator.fit(Population().draw(60, 2, 0), 0.5, ["accuracy"], 0)
    window = Population().draw(500, 2, 1)
    found = few.estimate(window.inputs, window.outputs)["accuracy"]
    wide = estimated(window, 2)["accuracy"]
    assert found.high - found.low > 2 * (wide.high - wide.low)


def test_equal_seeds_give_equal_estimates_of_drawn_rows() -> None:
    window = Population().draw(30_000, 2, 1)
    again = PerformanceEstimator.fit(Population().draw(1_500, 2, 0), 0.5, METRICS, 0)
    assert again.estimate(window.inputs, window.outputs) == estimated(window, 2)


def test_two_classes_that_are_judged_as_several_have_the_means_of_both() -> None:
    names = ("f1", "precision", "average_precision")
    rows = replace(Population(mean=-1.0).draw(400, 2, 0), multiclass=True)
    errors = EstimationErrors(dict.fromkeys(names, [0.5] * 40), dict.fromkeys(names, 0.1))
    found = PerformanceEstimator.fit(rows, 0.5, names, 0, lambda *_: errors)
    real = ScoredRows("multiclass", rows.truth, rows.outputs).metrics(names)
    assert found.known == pytest.approx(real)
    for name, one in found.estimate(rows.inputs, rows.outputs).items():
        assert one.value == pytest.approx(real[name], abs=0.03)


def test_errors_are_recalled_for_the_same_rows_metrics_and_seed_alone() -> None:
    kept: dict[bytes, EstimationErrors] = {}

    def recall(digest: bytes, measure: Callable[[], EstimationErrors]) -> EstimationErrors:
        return kept.setdefault(
            digest, EstimationErrors({"accuracy": [0.5] * 40}, {"accuracy": 0.1})
        )

    rows = Population().draw(60, 2, 0)
    other = Labelled(rows.inputs, rows.outputs, 1 - rows.truth)
    for reference, threshold, names, seed in (
        (rows, 0.5, ["accuracy"], 0),
        (rows, 0.5, ["accuracy", "roc_auc"], 0),
        (rows, 0.4, ["accuracy"], 0),
        (rows, 0.5, ["accuracy"], 1),
        (other, 0.5, ["accuracy"], 0),
    ):
        before = len(kept)
        for _ in range(2):
            found = PerformanceEstimator.fit(reference, threshold, names, seed, recall)
            assert found.errors.spreads == {"accuracy": 0.1}
        assert len(kept) == before + 1


def test_what_cannot_be_learned_from_is_refused_with_a_remedy() -> None:
    rows = Population().draw(200, 2, 0)
    truth = rows.truth.copy()
    truth[3] = 2
    few = Labelled(rows.inputs.slice(0, 40), rows.outputs[:40], rows.truth[:40])
    for wrong, said in (
        (Labelled(rows.inputs, rows.outputs, truth), "1 true values"),
        (Labelled(rows.inputs.slice(1), rows.outputs, rows.truth), "not of the same rows"),
        (few, "40 labelled rows are too few"),
    ):
        with pytest.raises(DataError, match=said) as refused:
            PerformanceEstimator.fit(wrong, 0.5, METRICS, 0)
        assert refused.value.remedy
    with pytest.raises(DataError, match="'word' is missing"):
        estimator(2).estimate(rows.inputs.drop_columns("word"), rows.outputs)
