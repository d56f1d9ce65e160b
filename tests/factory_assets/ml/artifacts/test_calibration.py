"""Calibration of probabilities: compared with scikit-learn, and the same when served."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from factory_assets.ml.artifacts.calibration import Calibration, Method, fit_calibration, fit_method
from factory_assets.ml.artifacts.trained_model import Description
from factory_assets.ml.training.threshold import choose_threshold
from factory_assets.spec.threshold import DEFAULT
from factory_assets.spec.train import Calibrate
from factory_resources.errors import DeclarationError
from tests.factory_assets.ml.models.cases import KINDS, rows
from tests.factory_assets.ml.models.test_kinds import fitted, same_everywhere


def overconfident(
    count: int, classes: int, seed: int = 0, factor: float = 3.0
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Draw true classes, logits multiplied by the factor, and their too extreme probabilities."""
    chance = np.random.default_rng(seed)
    scores = chance.normal(0, 1, (count, classes))
    true = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    truth = np.array([chance.choice(classes, p=row) for row in true])
    sure = np.exp(scores * factor)
    return truth, scores * factor, sure / sure.sum(axis=1, keepdims=True)


def fixed_estimator(scores: NDArray[np.float64]) -> Any:
    """Return a frozen scikit-learn estimator whose decision scores are those of its input."""
    from sklearn.frozen import FrozenEstimator
    from sklearn.linear_model import LogisticRegression

    classes = scores.shape[1]
    estimator = LogisticRegression().fit(scores, np.arange(len(scores)) % classes)
    estimator.coef_ = np.eye(classes) if classes > 2 else np.array([[-1.0, 1.0]])
    estimator.intercept_ = np.zeros(len(estimator.coef_))
    return FrozenEstimator(estimator)


@pytest.mark.parametrize(
    ("method", "reference", "classes"),
    [("temperature", "temperature", 2), ("temperature", "temperature", 4), ("platt", "sigmoid", 2)],
)
def test_fit_method_matches_scikit_learn(method: Method, reference: str, classes: int) -> None:
    from sklearn.calibration import CalibratedClassifierCV

    truth, scores, probabilities = overconfident(2000, classes, factor=2.0)
    peer = CalibratedClassifierCV(fixed_estimator(scores), method=reference)
    peer.fit(scores, truth)
    ours = fit_method(method, truth, probabilities)
    np.testing.assert_allclose(ours.apply(probabilities), peer.predict_proba(scores), atol=2e-3)
    assert ours.slope == pytest.approx(1 / 2, abs=0.05)


def test_calibration_keeps_the_order_of_rows() -> None:
    truth, _, probabilities = overconfident(300, 2)
    after = fit_method("platt", truth, probabilities).apply(probabilities)
    assert (np.argsort(after[:, 1]) == np.argsort(probabilities[:, 1])).all()
    np.testing.assert_allclose(after.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("factor", "count", "expected"),
    [(4.0, 400, {"temperature", "platt"}), (1.0, 400, {None}), (4.0, 30, {None})],
)
def test_auto_calibrates_only_if_it_helps(factor: float, count: int, expected: set[Any]) -> None:
    truth, _, probabilities = overconfident(count, 2, factor=factor)
    result = fit_calibration("auto", truth, probabilities)
    assert (result.method if result else None) in expected


def test_auto_shifts_if_one_class_is_overrated() -> None:
    truth, scores, _ = overconfident(1000, 2, factor=1.0)
    shifted = 1 / (1 + np.exp(scores[:, 0] - scores[:, 1] - 2))
    result = fit_calibration("auto", truth, np.stack([1 - shifted, shifted], axis=1))
    assert result is not None
    assert result.method == "platt"
    assert result.shift == pytest.approx(-2, abs=0.5)


def test_perfectly_separated_classes_give_finite_probabilities() -> None:
    truth = np.array([0, 1] * 50)
    probabilities = np.eye(2)[truth] * 0.98 + 0.01
    for method in ("temperature", "platt"):
        after = fit_method(method, truth, probabilities).apply(probabilities)  # type: ignore[arg-type]
        assert np.isfinite(after).all()
        assert (after.argmax(axis=1) == truth).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "task", "calibrate"),
    [
        ("mlp", "binary", "platt"),
        ("mlp", "multiclass", "temperature"),
        ("random_forest", "binary", "platt"),
        ("gradient_boosting", "multiclass", "auto"),
        ("linear", "binary", "temperature"),
    ],
)
def test_stored_and_served_models_give_the_same_outputs(
    kind: str, task: str, calibrate: Calibrate, tmp_path: Path
) -> None:
    result = fitted(tmp_path, KINDS[kind], task, calibrate=calibrate)
    assert result.trained.description.calibration or calibrate == "auto"
    same_everywhere(result.trained, tmp_path, task, 1e-5)


@pytest.mark.slow
def test_calibration_lowers_the_test_loss_and_keeps_the_decisions(tmp_path: Path) -> None:
    model = {"kind": "random_forest", "trees": 10}
    plain = fitted(tmp_path, model, class_weights="balanced").trained
    better = fitted(tmp_path, model, class_weights="balanced", calibrate="platt").trained
    test, validation = rows(2000, 9), rows(200, 2)
    truth = plain.target.values(test)

    def loss(outputs: NDArray[np.float64]) -> float:
        return float(-np.log(np.clip(outputs[np.arange(len(truth)), truth], 1e-7, 1)).mean())

    assert loss(better.outputs(test)) < loss(plain.outputs(test)) - 0.01
    threshold = better.description.threshold
    known = better.target.values(validation)
    assert threshold == choose_threshold(DEFAULT, known, better.outputs(validation)[:, 1])
    assert plain.description.threshold is not None
    positive = plain.outputs(validation)[:, 1] >= plain.description.threshold
    assert ((better.outputs(validation)[:, 1] >= threshold) == positive).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "calibrate", "message"),
    [
        ("regression", "auto", "train.calibrate: a regression target has no probabilities"),
        ("multiclass", "platt", "platt needs exactly two classes; choose temperature or auto"),
    ],
)
def test_a_calibration_that_does_not_fit_the_task_is_refused(
    task: str, calibrate: Calibrate, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DeclarationError, match=message):
        fitted(tmp_path, KINDS["linear"], task, calibrate=calibrate)


@pytest.mark.slow
def test_descriptions_without_a_calibration_are_read(tmp_path: Path) -> None:
    described = fitted(tmp_path, KINDS["linear"]).trained.description.model_dump(by_alias=True)
    del described["calibration"]
    assert Description.model_validate(described).calibration is None
    assert Calibration(method="platt", slope=1.0).shift == 0
