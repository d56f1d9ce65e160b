"""Metrics of classes that are only expected: formulas by hand, and the same as of certain ones."""

from math import log

import numpy as np
import pytest

from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.ml.performance.estimation import ESTIMABLE
from factory_assets.ml.performance.expected_classes import ExpectedClasses, expect_classes
from factory_assets.spec.train import Task


def two(outputs: list[float], chances: list[float], threshold: float = 0.5) -> ExpectedClasses:
    given, believed = np.array(outputs), np.array(chances)
    return ExpectedClasses(
        "binary",
        np.stack([1 - given, given], axis=1),
        np.stack([1 - believed, believed], axis=1),
        threshold,
    )


def test_four_rows_by_hand() -> None:
    rows = two([0.9, 0.6, 0.4, 0.1], [0.8, 0.5, 0.3, 0.1])
    # Expected: 1.3 true positives, 0.7 false ones, 0.4 false negatives, 1.6 true ones.
    assert rows.metrics(ESTIMABLE["binary"]) == pytest.approx(
        {
            "accuracy": 2.9 / 4,
            "precision": 1.3 / 2,
            "recall": 1.3 / 1.7,
            "f1": 2.6 / 3.7,
            "balanced_accuracy": (1.3 / 1.7 + 1.6 / 2.3) / 2,
            # Each row beats every later negative, and ties with itself.
            "roc_auc": (0.8 * 2.2 + 0.5 * 1.85 + 0.3 * 1.25 + 0.1 * 0.45) / (1.7 * 2.3),
            "average_precision": (0.8 * 0.8 + 0.5 * 1.3 / 2 + 0.3 * 1.6 / 3 + 0.1 * 1.7 / 4) / 1.7,
            "log_loss": -(1.7 * log(0.9) + 0.3 * log(0.1) + 1.2 * log(0.6) + 0.8 * log(0.4)) / 4,
            "brier": (0.8 * 0.01 + 0.2 * 0.81 + 0.26 + 0.3 * 0.36 + 0.7 * 0.16 + 0.081 + 0.009) / 4,
        }
    )


@pytest.mark.parametrize(("task", "classes"), [("binary", 2), ("multiclass", 3)])
@pytest.mark.parametrize("present", [1, 2, 3])
def test_certain_classes_have_the_metrics_of_an_evaluation(
    task: Task, classes: int, present: int
) -> None:
    generator = np.random.default_rng(present)
    # Few distinct outputs, so that rows tie.
    outputs = generator.integers(1, 6, (60, classes)) + 0.0
    outputs /= outputs.sum(axis=1, keepdims=True)
    truth = generator.integers(0, min(present, classes), 60)
    window = ExpectedClasses(task, outputs, outputs, 0.45).known(truth)
    real = ScoredRows(task, truth, outputs, 0.45).metrics(ESTIMABLE[task])
    assert window.metrics(ESTIMABLE[task]) == pytest.approx(real)
    assert real


def test_drawn_classes_are_as_frequent_as_expected() -> None:
    chances = np.tile([0.2, 0.5, 0.3], (20_000, 1))
    window = ExpectedClasses("multiclass", chances, chances, 0.5)
    drawn = window.draw(np.random.default_rng(0)).chances
    assert set(drawn.ravel()) == {0.0, 1.0}
    assert drawn.mean(axis=0) == pytest.approx([0.2, 0.5, 0.3], abs=0.015)


def test_one_row_and_none() -> None:
    one = two([0.7], [0.6])
    assert one.metrics(["accuracy", "precision", "recall"]) == pytest.approx(
        {"accuracy": 0.6, "precision": 0.6, "recall": 1.0}
    )
    assert one.take(np.array([], dtype=int)).metrics(ESTIMABLE["binary"]) == {}


def test_a_class_that_cannot_be_leaves_out_what_needs_it() -> None:
    window = two([0.7, 0.2], [0.0, 0.0])
    found = window.metrics(ESTIMABLE["binary"])
    assert not found.keys() & {"roc_auc", "average_precision", "recall", "balanced_accuracy"}
    assert found["accuracy"] == 0.5


def test_weights_decide_what_an_output_means() -> None:
    outputs = np.array([[0.4, 0.6]] * 4)
    truth, window = np.array([0, 0, 1, 1]), np.array([[0.4, 0.6]])
    even = expect_classes(outputs, truth, np.ones(4), window, 0.5)
    assert even.chances == pytest.approx(np.array([[0.5, 0.5]]))
    shifted = expect_classes(outputs, truth, np.array([0.5, 0.5, 1.5, 1.5]), window, 0.5)
    assert shifted.chances == pytest.approx(np.array([[0.25, 0.75]]))


def test_chances_of_several_classes_sum_to_one() -> None:
    outputs = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.3, 0.3, 0.4]])
    truth = np.array([0, 1, 2, 2])
    window = np.array([[0.2, 0.2, 0.6], [0.1, 0.1, 0.1]]) / [[1.0], [0.3]]
    found = expect_classes(outputs, truth, np.ones(4), window, 0.5)
    assert found.chances.sum(axis=1) == pytest.approx([1, 1])
