"""The decision threshold: the best of all on the validation rows, by the declared rule."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from factory_assets.execution.cache_key import relevant_spec
from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.ml.training.threshold import choose_threshold
from factory_assets.spec import Pipeline
from factory_assets.spec.threshold import DEFAULT, DecisionRule
from factory_assets.stages.train import train
from factory_resources.errors import DeclarationError
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import KINDS, parts, pipeline

COSTS = {"false_positive": 1, "false_negative": 5}
RULES: list[dict[str, Any]] = [
    *({"maximise": name} for name in ("f1", "accuracy", "balanced_accuracy")),
    COSTS,
    {"false_positive": 9.5, "false_negative": 1},
]


def rule(declared: Any) -> DecisionRule:
    found: DecisionRule = TypeAdapter(DecisionRule).validate_python(declared)
    return found


def gain(declared: dict[str, Any], truth: Any, scores: Any, threshold: float) -> float:
    if metric := declared.get("maximise"):
        outputs = np.stack([1 - scores, scores], axis=1)
        return ScoredRows("binary", truth, outputs, threshold).metrics({metric})[metric]
    positive = scores >= threshold
    wrong, missed = (positive & (truth == 0)).sum(), (~positive & (truth == 1)).sum()
    return -float(declared["false_positive"] * wrong + declared["false_negative"] * missed)


@pytest.mark.parametrize("declared", RULES)
@pytest.mark.parametrize("seed", range(6))
def test_no_other_threshold_is_better_on_these_rows(declared: dict[str, Any], seed: int) -> None:
    chance = np.random.default_rng(seed)
    truth = (chance.random(60) < (0.5, 0.1, 0.9)[seed % 3]).astype(np.int64)
    truth[:2] = 0, 1
    # Few distinct scores, so that many are equal.
    scores = np.round(np.clip(chance.normal(0.3 + 0.3 * truth, 0.2), 0, 1), seed % 2 + 1)
    chosen = choose_threshold(rule(declared), truth, scores)
    best = max(gain(declared, truth, scores, cut) for cut in (*np.unique(scores), 1.1))
    assert gain(declared, truth, scores, chosen) == pytest.approx(best)


@pytest.mark.parametrize(
    ("truth", "scores", "threshold"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9], 0.4),
        ([0, 1, 0, 1], [0.1, 0.3, 0.5, 0.9], 0.2),
        ([1, 1, 1], [0.5, 0.5, 0.5], 0.25),
        ([0, 0], [0.2, 0.4], 0.5),
        # Equal scores stand together: cutting within them is not possible.
        ([1, 0, 0], [0.5, 0.5, 0.1], 0.3),
    ],
)
def test_default_threshold_has_the_best_f1(truth: Any, scores: Any, threshold: float) -> None:
    found = choose_threshold(DEFAULT, np.array(truth), np.array(scores))
    assert found == pytest.approx(threshold)


@pytest.mark.parametrize(
    ("declared", "truth", "scores", "threshold"),
    [
        (0.3, [0, 1], [0.1, 0.9], 0.3),
        # No row is predicted positive if that is best.
        ({"maximise": "accuracy"}, [0, 0, 0, 1], [0.2, 0.3, 0.4, 0.1], 0.7),
        ({"maximise": "accuracy"}, [0, 0, 0, 1], [0.2, 0.3, 1.0, 0.1], 1.5),
        # Of the equally good .2 and .75, that closer to .5.
        ({"maximise": "accuracy"}, [0, 1, 0, 1], [0.1, 0.3, 0.6, 0.9], 0.75),
        # One class alone says nothing: .5, or what costs mean for exact probabilities.
        ({"maximise": "accuracy"}, [1, 1], [0.2, 0.4], 0.5),
        ({"maximise": "balanced_accuracy"}, [0, 0], [0.2, 0.4], 0.5),
        (COSTS, [0, 0], [0.2, 0.4], 1 / 6),
    ],
)
def test_thresholds_of_other_rules(
    declared: Any, truth: Any, scores: Any, threshold: float
) -> None:
    found = choose_threshold(rule(declared), np.array(truth), np.array(scores))
    assert found == pytest.approx(threshold)


def declared(folder: Path, metric: str | None = None, **train: Any) -> Pipeline:
    """A linear model that is judged by this metric."""
    plain = pipeline(folder, KINDS["linear"], **train)
    evaluate = plain.spec.evaluate.model_copy(update={"metric": metric})
    return Pipeline("p", plain.spec.model_copy(update={"evaluate": evaluate}), folder)


def test_the_default_follows_the_primary_metric(tmp_path: Path) -> None:
    for metric in ("accuracy", "balanced_accuracy", "f1"):
        assert declared(tmp_path, metric).spec.decision_rule == rule({"maximise": metric})
    for other in (None, "roc_auc", "log_loss", "precision"):
        assert declared(tmp_path, other).spec.decision_rule == DEFAULT
    own = declared(tmp_path, "accuracy", threshold=COSTS)
    assert own.spec.decision_rule == rule(COSTS)


def test_only_another_rule_than_f1_changes_the_key_of_a_training(tmp_path: Path) -> None:
    before = relevant_spec(declared(tmp_path), "train")
    assert "threshold" not in before
    assert relevant_spec(declared(tmp_path, "roc_auc"), "train") == before
    assert relevant_spec(declared(tmp_path, threshold={"maximise": "f1"}), "train") == before
    keys = [
        relevant_spec(declared(tmp_path, "accuracy"), "train"),
        relevant_spec(declared(tmp_path, threshold=0.3), "train"),
        relevant_spec(declared(tmp_path, threshold=COSTS), "train"),
    ]
    assert [key["threshold"] for key in keys] == [{"maximise": "accuracy"}, 0.3, COSTS]
    numbers = relevant_spec(declared(tmp_path, "accuracy", task="multiclass"), "train")
    assert "threshold" not in numbers


@pytest.mark.slow
def test_a_training_follows_the_declared_rule(home: Home, tmp_path: Path) -> None:
    given = parts(home)
    f1, accurate, costly, fixed = (
        train(declared(tmp_path, metric, **more), given, home)
        for metric, more in (
            (None, {}),
            ("accuracy", {}),
            (None, {"threshold": COSTS}),
            (None, {"threshold": 0.77}),
        )
    )
    assert accurate.validation["accuracy"] > f1.validation["accuracy"]
    assert f1.validation["f1"] > accurate.validation["f1"]
    assert costly.validation["recall"] > accurate.validation["recall"]
    assert fixed.threshold == 0.77
    assert fixed.validation["roc_auc"] == f1.validation["roc_auc"]


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_a_threshold_without_two_classes_is_refused(task: str, home: Home, tmp_path: Path) -> None:
    given = parts(home, task)
    with pytest.raises(DeclarationError, match=rf"this target is {task}") as caught:
        train(declared(tmp_path, threshold=COSTS), given, home)
    assert str(caught.value).startswith("train.threshold: ")
    assert "\n" not in str(caught.value)
    assert not home.artifacts.exists()
