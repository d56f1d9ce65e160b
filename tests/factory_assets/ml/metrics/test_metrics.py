"""Evaluation metrics, compared with scikit-learn and with numbers worked out by hand."""

import numpy as np
import pytest
from sklearn import metrics as sk

from factory_assets.ml.metrics.metrics import (
    DECISION_METRICS,
    PRIMARY_METRIC,
    ScoredRows,
    gate_metric_names,
    higher_is_better,
    metric_names,
    normalise_probabilities,
)
from factory_assets.spec.evaluate import COVERAGE_METRICS, LOWER_IS_BETTER, METRICS, Asymmetry
from tests.factory_assets.ml.metrics.cases import classification_metrics, regression_metrics

TRUTH = np.array([0, 0, 1, 1, 0, 1, 0, 0])

CHANCE = np.array([0.1, 0.4, 0.35, 0.8, 0.2, 0.9, 0.6, 0.35])

BINARY = np.stack([1 - CHANCE, CHANCE], axis=1)


def test_binary_metrics_match_scikit_learn() -> None:
    result = classification_metrics(TRUTH, BINARY, 0.5, ("no", "yes"))
    predicted = (CHANCE >= 0.5).astype(int)
    assert result == pytest.approx(
        {
            "average_precision": sk.average_precision_score(TRUTH, CHANCE),
            "roc_auc": sk.roc_auc_score(TRUTH, CHANCE),
            "log_loss": sk.log_loss(TRUTH, BINARY),
            "brier": ((CHANCE - TRUTH) ** 2).mean(),
            # Bins of width .1 hold one row each, except for the bin of the two rows at .35.
            "ece": (0.1 + 0.4 + 0.2 + 0.2 + 0.1 + 0.6 + 2 * abs(0.35 - 0.5)) / 8,
            "accuracy": 6 / 8,
            "balanced_accuracy": (4 / 5 + 2 / 3) / 2,
            "f1": sk.f1_score(TRUTH, predicted),
            "precision": 2 / 3,
            "recall": 2 / 3,
        }
    )


def test_threshold_is_inclusive() -> None:
    at = classification_metrics(TRUTH, BINARY, 0.35, ("no", "yes"))
    above = classification_metrics(TRUTH, BINARY, 0.35001, ("no", "yes"))
    assert at["recall"] == 1.0
    assert above["recall"] == pytest.approx(2 / 3)
    assert at["roc_auc"] == above["roc_auc"]


def test_the_average_precision_of_perfect_scores_is_one() -> None:
    # scikit-learn's sum for 43 rows of each class is 1.0000000000000002.
    chance = np.arange(86) / 86
    assert sk.average_precision_score(chance >= 0.5, chance) > 1
    perfect = np.stack([1 - chance, chance], axis=1)
    result = classification_metrics((chance >= 0.5).astype(int), perfect, 0.5, ("no", "yes"))
    assert result["average_precision"] == 1.0


def test_ties_get_half_the_credit() -> None:
    same = np.full((4, 2), 0.5)
    result = classification_metrics(np.array([0, 1, 0, 1]), same, 0.5, ("no", "yes"))
    assert result["roc_auc"] == 0.5
    assert result["average_precision"] == 0.5
    assert result["recall"] == 1.0


def test_multiclass_metrics_are_means_over_the_classes() -> None:
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 3, 200)
    outputs = generator.dirichlet([1, 1, 1], 200)
    result = classification_metrics(truth, outputs, None, ("a", "b", "c"))
    predicted = outputs.argmax(axis=1)
    areas = [sk.roc_auc_score(truth == c, outputs[:, c]) for c in range(3)]
    averages = [sk.average_precision_score(truth == c, outputs[:, c]) for c in range(3)]
    assert result["roc_auc"] == pytest.approx(
        sk.roc_auc_score(truth, outputs, multi_class="ovr", average="macro")
    )
    assert result["roc_auc"] == pytest.approx(np.mean(areas))
    assert result["average_precision"] == pytest.approx(np.mean(averages))
    assert result["balanced_accuracy"] == pytest.approx(
        sk.balanced_accuracy_score(truth, predicted)
    )
    assert result["f1"] == pytest.approx(sk.f1_score(truth, predicted, average="macro"))
    assert "brier" not in result


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("rows", [1, 4, 30])
def test_metrics_of_classes_are_those_of_scikit_learn_to_the_last_bit(
    rows: int, classes: int
) -> None:
    generator = np.random.default_rng(rows * classes)
    truth = generator.integers(0, classes, rows)
    outputs = generator.dirichlet(np.ones(classes), rows)
    scored = ScoredRows("binary" if classes == 2 else "multiclass", truth, outputs)
    average = "binary" if classes == 2 else "macro"
    scores = {"f1": sk.f1_score, "precision": sk.precision_score, "recall": sk.recall_score}
    expected = {
        name: score(truth, scored.predicted, average=average, zero_division=np.nan)
        for name, score in scores.items()
    }
    expected["accuracy"] = sk.accuracy_score(truth, scored.predicted)
    if len({*truth}) > 1:
        expected["balanced_accuracy"] = sk.recall_score(
            truth, scored.predicted, labels=np.unique(truth), average="macro"
        )
    defined = {name: value for name, value in expected.items() if not np.isnan(value)}
    assert scored.metrics(DECISION_METRICS) == defined


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 7, 8, 9, 129, 5_000])
def test_errors_of_numbers_are_those_of_scikit_learn_to_the_last_bit(rows: int, kind: str) -> None:
    generator = np.random.default_rng(rows)
    truth = generator.normal(size=rows) * 10.0 ** generator.integers(-3, 4)
    outputs = (truth + generator.normal(size=rows)).astype(kind)
    assert ScoredRows("regression", truth, outputs).metrics(["mae", "rmse"]) == {
        "mae": sk.mean_absolute_error(truth, outputs),
        "rmse": sk.root_mean_squared_error(truth, outputs),
    }


def test_ranking_metrics_are_undefined_for_one_class() -> None:
    result = classification_metrics(np.zeros(8, int), BINARY, 0.5, ("no", "yes"))
    assert not {"roc_auc", "average_precision", "balanced_accuracy", "recall"} & set(result)
    assert result["accuracy"] == pytest.approx(5 / 8)
    assert result["precision"] == 0.0


def test_precision_is_undefined_if_nothing_is_predicted_positive() -> None:
    result = classification_metrics(TRUTH, BINARY, 0.99, ("no", "yes"))
    assert "precision" not in result
    assert result["recall"] == 0.0
    assert result["f1"] == 0.0


def test_multiclass_ranking_needs_every_class() -> None:
    outputs = np.full((6, 3), 1 / 3)
    result = classification_metrics(np.array([0, 0, 1, 1, 0, 1]), outputs, None, ("a", "b", "c"))
    assert not {"roc_auc", "average_precision"} & set(result)
    assert result["balanced_accuracy"] == 0.5


@pytest.mark.filterwarnings("error")
def test_float32_probabilities_and_absent_classes_raise_no_warning() -> None:
    generator = np.random.default_rng(2)
    outputs = generator.dirichlet(np.ones(7), 500).astype(np.float32)
    result = classification_metrics(generator.integers(0, 6, 500), outputs, None, tuple("abcdefg"))
    assert np.isfinite(list(result.values())).all()
    assert np.allclose(normalise_probabilities(outputs).sum(axis=1), 1, rtol=1e-15)


def test_votes_that_a_served_forest_adds_up_to_more_than_1_are_judged() -> None:
    votes = np.array([[-1.2e-7, 1.0000001], [1.0000001, -1.2e-7]], np.float32)
    result = classification_metrics(np.array([1, 0]), votes, None, ("a", "b"))
    assert (result["log_loss"], result["brier"]) == pytest.approx((0, 0))
    assert normalise_probabilities(votes).tolist() == [[0, 1], [1, 0]]


def test_regression_metrics_match_numbers_worked_out_by_hand() -> None:
    result = regression_metrics(np.array([0.0, 100.0, 200.0]), np.array([10.0, 100.0, 140.0]), 125)
    assert result == pytest.approx(
        {
            "rmse": (3700 / 3) ** 0.5,
            "mae": 70 / 3,
            "r2": 1 - 3700 / 20000,
            "rmse_clipped": ((100 + 225) / 3) ** 0.5,
        }
    )


def test_late_costs_more_than_early() -> None:
    scales = Asymmetry(early=13, late=10)
    truth, predicted = np.array([50.0, 50.0, 50.0]), np.array([63.0, 37.0, 50.0])
    scored = ScoredRows("regression", truth, predicted, asymmetry=scales)
    expected = np.exp(13 / 10) - 1 + np.exp(13 / 13) - 1
    assert scored.metrics({"asymmetric_score"}) == pytest.approx({"asymmetric_score": expected})
    assert not higher_is_better("asymmetric_score")


@pytest.mark.filterwarnings("error")
def test_an_asymmetric_score_that_overflows_is_undefined() -> None:
    scored = ScoredRows("regression", np.zeros(2), np.full(2, 1e6), asymmetry=Asymmetry())
    assert "asymmetric_score" not in scored.metrics()


def test_regression_of_equal_values_has_no_r2_and_no_clipped_rmse_by_default() -> None:
    assert set(regression_metrics(np.ones(3), np.zeros(3), None)) == {"rmse", "mae"}


def test_only_requested_metrics_are_computed() -> None:
    scored = ScoredRows("binary", TRUTH, BINARY)
    assert set(scored.metrics({"f1", "rmse"})) == {"f1"}
    assert scored.take(np.array([], int)).metrics() == {}
    assert scored.take(TRUTH == 1).metrics({"accuracy"})["accuracy"] == pytest.approx(2 / 3)


def test_every_declarable_metric_belongs_to_a_task_and_has_a_direction() -> None:
    computed = {name for task in PRIMARY_METRIC for name in metric_names(task)}
    assert computed == set(METRICS)
    of_gates = {name for task in PRIMARY_METRIC for name in gate_metric_names(task)}
    assert of_gates == {*METRICS, *COVERAGE_METRICS}
    assert {name for name in of_gates if not higher_is_better(name)} == LOWER_IS_BETTER
    assert all(metric in metric_names(task) for task, metric in PRIMARY_METRIC.items())
