"""The decision threshold: the best of all on the held-out rows, by the declared rule."""

from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from factory_assets.execution.cache_key import relevant_spec
from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.ml.training.threshold import choose_threshold, require_kept
from factory_assets.spec import Pipeline
from factory_assets.spec.threshold import DEFAULT, DecisionRule
from factory_assets.stages.train import train
from factory_resources.errors import DataError, DeclarationError
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
        # The last positive row has the lowest score of all, and without it too few are caught.
        ({"recall": 0.8}, [1, 1, 1, 0, 1], [0.9, 0.8, 0.7, 0.5, 0.1], 0.05),
        # No row is positive: nothing says where to cut.
        ({"recall": 0.8}, [0, 0], [0.2, 0.4], 0.5),
    ],
)
def test_thresholds_of_other_rules(
    declared: Any, truth: Any, scores: Any, threshold: float
) -> None:
    found = choose_threshold(rule(declared), np.array(truth), np.array(scores))
    assert found == pytest.approx(threshold)


PROMISES: list[dict[str, float]] = [
    {"recall": 0.9},
    {"recall": 0.5},
    {"precision": 0.8},
    {"precision": 0.4},
]


@pytest.mark.parametrize("promise", PROMISES)
@pytest.mark.parametrize("seed", range(8))
def test_no_other_threshold_keeps_the_promise_and_is_better(
    promise: dict[str, float], seed: int
) -> None:
    """Try every threshold, with one more row than there is that is decided wrongly."""
    chance = np.random.default_rng(seed)
    truth = (chance.random(60) < (0.5, 0.2, 0.8)[seed % 3]).astype(np.int64)
    truth[:2] = 0, 1
    scores = np.round(np.clip(chance.normal(0.3 + 0.4 * truth, 0.2), 0, 1), seed % 2 + 1)
    [(name, promised)] = promise.items()

    def measure(threshold: float) -> tuple[float, float, float]:
        positive = scores >= threshold
        hits, called = int((positive & (truth == 1)).sum()), int(positive.sum())
        kept = hits / ((truth.sum() if name == "recall" else called) + 1)
        other = hits / (called if name == "recall" else truth.sum())
        return kept, other, hits / max(called, 1)

    found = [measure(cut) for cut in np.unique(scores)]
    keeping = [one for one in found if one[0] >= promised]
    chosen = measure(choose_threshold(rule(promise), truth, scores))
    if keeping:
        assert chosen[0] >= promised
        assert chosen[1] == max(other for _, other, _ in keeping)
    else:
        assert chosen[0] == max(kept for kept, _, _ in found)


@pytest.mark.parametrize(("name", "promised"), [("recall", 0.9), ("precision", 0.7)])
def test_a_promise_is_kept_on_new_rows_on_average(name: str, promised: float) -> None:
    reached = []
    for seed in range(200):
        chance = np.random.default_rng(seed)
        truth = (chance.random(100) < 0.3).astype(np.int64)
        scores = 1 / (1 + np.exp(-chance.normal(1.5 * truth, 1)))
        cut = -np.log(1 / choose_threshold(rule({name: promised}), truth, scores) - 1)
        caught, false = (1 - NormalDist(mean).cdf(cut) for mean in (1.5, 0))
        right = 0.3 * caught / (0.3 * caught + 0.7 * false)
        reached.append(caught if name == "recall" else right)
    assert promised <= np.mean(reached) < promised + 0.05


@pytest.mark.parametrize(
    ("promise", "truth", "line"),
    [
        (
            {"precision": 0.9},
            [0, 1, 0, 1],
            "precision of 0.9 on the 4 held-out rows and one more .* wrongly; the best reaches",
        ),
        (
            {"recall": 0.9},
            [0, 0, 0, 0],
            "recall of 0.9 on the 4 held-out rows and one more .*; none of them",
        ),
    ],
)
def test_a_promise_that_no_threshold_keeps_is_refused(
    promise: dict[str, float], truth: list[int], line: str
) -> None:
    known, scores = np.array(truth), np.array([0.9, 0.8, 0.2, 0.1])
    threshold = choose_threshold(rule(promise), known, scores)
    scored = ScoredRows("binary", known, np.stack([1 - scores, scores], axis=1), threshold)
    with pytest.raises(DataError, match=line) as caught:
        require_kept(rule(promise), scored.metrics(), len(scored))
    assert str(caught.value).startswith("train.threshold: ")
    assert "\n" not in str(caught.value)


def test_a_promise_that_is_kept_and_other_rules_are_not_refused() -> None:
    known, scores = np.array([0, 1, 0, 1]), np.array([0.1, 0.8, 0.2, 0.9])
    for one in ({"recall": 1}, {"precision": 1}, {"maximise": "f1"}, COSTS, 0.99):
        threshold = choose_threshold(rule(one), known, scores)
        outputs = np.stack([1 - scores, scores], axis=1)
        scored = ScoredRows("binary", known, outputs, threshold)
        require_kept(rule(one), scored.metrics(), len(scored))


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
    f1, accurate, costly, fixed, promising = (
        train(declared(tmp_path, metric, **more), given, home)
        for metric, more in (
            (None, {}),
            ("accuracy", {}),
            (None, {"threshold": COSTS}),
            (None, {"threshold": 0.77}),
            (None, {"threshold": {"recall": 0.97}}),
        )
    )
    assert accurate.validation["accuracy"] > f1.validation["accuracy"]
    assert f1.validation["f1"] > accurate.validation["f1"]
    assert costly.validation["recall"] > accurate.validation["recall"]
    assert fixed.threshold == 0.77
    assert promising.validation["recall"] >= 0.97 > f1.validation["recall"]
    assert fixed.validation["roc_auc"] == f1.validation["roc_auc"]


@pytest.mark.slow
def test_a_promise_that_cannot_be_kept_leaves_no_run_behind(home: Home, tmp_path: Path) -> None:
    impossible = declared(tmp_path, threshold={"precision": 1.0}, exclude=["heat", "wear"])
    with pytest.raises(
        DataError, match="no threshold keeps the promised precision of 1 on the 200 held-out"
    ):
        train(impossible, parts(home), home)
    assert not home.artifacts.exists()


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_a_threshold_without_two_classes_is_refused(task: str, home: Home, tmp_path: Path) -> None:
    given = parts(home, task)
    with pytest.raises(DeclarationError, match=rf"this target is {task}") as caught:
        train(declared(tmp_path, threshold=COSTS), given, home)
    assert str(caught.value).startswith("train.threshold: ")
    assert "\n" not in str(caught.value)
    assert not home.artifacts.exists()
