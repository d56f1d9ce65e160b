"""The trivial baseline: its outputs follow from the training rows alone."""

import numpy as np
import pytest

from factory_assets.ml.evaluation.baselines import of_classes, trivial_outputs
from factory_assets.ml.features.target import Target
from factory_assets.ml.metrics.metrics import ScoredRows


def target(*classes: str) -> Target:
    task = "binary" if len(classes) == 2 else "multiclass" if classes else "regression"
    return Target(column="y", task=task, classes=classes, mean=0.0, sd=1.0)


def test_trivial_classes_are_the_shares_of_the_training_rows() -> None:
    outputs = trivial_outputs(target("a", "b", "c"), np.array([0, 0, 1, 0]), 2, "roc_auc")
    assert outputs.tolist() == [[0.75, 0.25, 0.0], [0.75, 0.25, 0.0]]


def test_trivial_number_is_the_mean_of_the_training_rows() -> None:
    outputs = trivial_outputs(target(), np.array([1.0, 2.0, 6.0]), 3, "rmse")
    assert outputs.tolist() == [3.0, 3.0, 3.0]


def test_by_distance_the_median_is_the_best_constant() -> None:
    outputs = trivial_outputs(target(), np.array([1.0, 2.0, 6.0]), 3, "mae")
    assert outputs.tolist() == [2.0, 2.0, 2.0]


def test_a_class_that_a_sample_did_not_have_is_never_likely() -> None:
    outputs = np.array([[0.3, 0.7], [0.6, 0.4]])
    spread = of_classes(outputs, ("c", "a"), ("a", "b", "c"))
    assert spread.tolist() == [[0.7, 0.0, 0.3], [0.4, 0.0, 0.6]]
    numbers = np.array([1.0, 2.0])
    assert of_classes(numbers, (), ()) is numbers


def test_trivial_scores_at_chance() -> None:
    truth = np.array([0, 1, 1, 0, 0])
    scored = ScoredRows("binary", truth, trivial_outputs(target("a", "b"), truth, 5, "f1"))
    metrics = scored.metrics()
    assert metrics["roc_auc"] == 0.5
    assert metrics["balanced_accuracy"] == 0.5
    assert metrics["average_precision"] == pytest.approx(truth.mean())
