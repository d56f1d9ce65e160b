"""Influence of fitted models: does it predict retrained ones, and find wrong labels?"""

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from factory_assets.ml.attribution.lds import halves, lds, predicted_quantity
from factory_assets.ml.attribution.leaves import trees_of
from factory_assets.ml.attribution.methods import Attribution, attribution
from factory_assets.ml.attribution.nearest_neighbours import disagreement
from factory_assets.ml.features.arrays import LabelledArrays
from factory_assets.results.evaluation import Variant
from factory_assets.spec.models import GradientBoosting, LightGbm, RandomForest
from factory_assets.spec.train import ModelSpec
from tests.factory_assets.ml.attribution.cases import LINEAR, NETWORK, drawn, fitted, tumours

pytestmark = pytest.mark.slow


def scores(
    method: Attribution,
    spec: ModelSpec,
    rows: LabelledArrays,
    judged: LabelledArrays,
    variants: Sequence[Variant] = (),
) -> dict[str, float]:
    """Return the LDS of each kind of variant, at the best amount."""
    classes = judged.target if judged.target.dtype.kind == "i" else None
    members = halves(rows.target, 12, seed=5)
    models = [fitted(spec, rows.take(np.flatnonzero(half)), judged, seed=9) for half in members]
    observed = np.stack(
        [predicted_quantity(model.outputs(judged.inputs), classes) for model in models]
    )
    best: dict[str, float] = {}
    for variant in variants or method.variants:
        score = lds(method.effects(variant, judged.inputs, classes), members, observed)
        best[variant.by] = max(score, best.get(variant.by, -1.0))
    return best


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_effects_predict_a_linear_model(classes: int) -> None:
    rows, judged = drawn(150, classes), drawn(15, classes, seed=1)
    method = attribution([fitted(LINEAR, rows, judged)], rows)
    assert method.reach == "all parameters"
    assert scores(method, LINEAR, rows, judged)["gradients"] > 0.7


@pytest.mark.long
def test_effects_predict_a_network_on_breast_cancer() -> None:
    rows, validation, test = tumours()
    method = attribution([fitted(NETWORK, rows, validation, seed) for seed in range(3)], rows)
    assert scores(method, NETWORK, rows, test.take(np.arange(30)))["gradients"] > 0.6


FOREST = RandomForest(kind="random_forest", trees=20)

BOOSTED = (
    GradientBoosting(kind="gradient_boosting", iterations=20),
    LightGbm(kind="lightgbm", iterations=20),
    LightGbm(kind="lightgbm", iterations=20, interactions=4),
)


@pytest.mark.parametrize(
    ("spec", "classes"),
    [(FOREST, 2), (BOOSTED[0], 3), (BOOSTED[1], 0)],
    ids=["random_forest", "gradient_boosting", "lightgbm"],
)
def test_shared_leaves_predict_trees(spec: ModelSpec, classes: int) -> None:
    rows, judged = drawn(200, classes), drawn(15, classes, seed=1)
    method = attribution([fitted(spec, rows, judged)], rows)
    by_neighbours = [Variant(by="inputs", amount=20), Variant(by="leaves", amount=20)]
    best = scores(method, spec, rows, judged, [*method.variants, *by_neighbours])
    assert best["trees"] > 0.4
    # Results that were measured before are read as they were.
    assert min(best["inputs"], best["leaves"]) > 0.15


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("classes", [0, 2, 3])
@pytest.mark.parametrize("spec", BOOSTED, ids=lambda spec: spec.kind)
def test_effects_on_boosted_trees_add_up_to_what_boosting_added(
    spec: ModelSpec, classes: int, weighted: bool
) -> None:
    """Each leaf adds the steps of its rows: to the output times its slope by the score."""
    rows, judged = drawn(200, classes), drawn(15, classes, seed=1)
    of_class = np.array([1.0, 3.0, 9.0])[:classes] if weighted and classes else None
    weights = np.ones(200) if of_class is None else of_class[rows.target]
    model = fitted(spec, rows, judged, weights=of_class)
    outputs = model.outputs(judged.inputs)
    method = attribution([model], rows, weights)
    [variant] = method.variants
    total = method.effects(variant, judged.inputs, judged.target if classes else None).sum(axis=1)
    if not classes:
        expected = outputs - rows.target.mean()
    else:
        scores = np.log(outputs) - np.log(np.bincount(rows.target, weights))
        said = outputs[np.arange(15), judged.target]
        mean = (outputs * scores).sum(axis=1)
        expected = said * (scores[np.arange(15), judged.target] - mean)
    np.testing.assert_allclose(total, expected, rtol=1e-3, atol=1e-4)


ABSOLUTE = (
    GradientBoosting(kind="gradient_boosting", iterations=20, loss="absolute_error"),
    LightGbm(kind="lightgbm", iterations=20, loss="absolute_error"),
)


@pytest.mark.parametrize("spec", ABSOLUTE, ids=lambda spec: spec.kind)
def test_effects_on_trees_of_medians_predict_them_and_add_up(spec: ModelSpec) -> None:
    rows, judged = drawn(200, 0), drawn(15, 0, seed=1)
    model = fitted(spec, rows, judged)
    method = attribution([model], rows)
    [variant] = method.variants
    total = method.effects(variant, judged.inputs, None).sum(axis=1)
    expected = model.outputs(judged.inputs) - np.median(rows.target)
    np.testing.assert_allclose(total, expected, atol=0.02)
    assert scores(method, spec, rows, judged)["trees"] > 0.4


def test_rows_in_the_same_leaves_of_boosted_trees_have_the_same_output() -> None:
    rows = drawn(200, 2)
    model = fitted(GradientBoosting(kind="gradient_boosting", iterations=10), rows, rows)
    trees = trees_of(model)
    assert trees is not None
    indices, outputs = trees.leaves(rows.inputs), model.outputs(rows.inputs)
    assert indices.shape[0] == 200
    _, first, same = np.unique(indices, axis=0, return_index=True, return_inverse=True)
    np.testing.assert_allclose(outputs, outputs[first[same.reshape(-1)]])
    assert len(first) > 20


def test_self_influence_finds_flipped_labels() -> None:
    rows, validation, _ = tumours()
    flipped = np.random.default_rng(1).random(len(rows)) < 0.1
    noisy = LabelledArrays(rows.inputs, np.where(flipped, 1 - rows.target, rows.target))
    models = [fitted(NETWORK, noisy, validation, seed) for seed in range(3)]
    method = attribution(models, noisy)
    for variant in method.variants:
        assert roc_auc_score(flipped, method.suspicion(variant)) > 0.95
    differences = disagreement(rows.inputs.numbers, noisy.target)
    assert roc_auc_score(flipped, differences) > 0.95
