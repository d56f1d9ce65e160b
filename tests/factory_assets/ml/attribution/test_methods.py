"""Influence of real models: does it foretell them, and does it find wrong labels?"""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from factory_assets.ml.attribution.lds import halves, lds, said
from factory_assets.ml.attribution.methods import Attribution, attribution
from factory_assets.ml.attribution.nearest_neighbours import disagreement, leaves_of
from factory_assets.ml.features.arrays import LabelledArrays
from factory_assets.spec.models import GradientBoosting
from factory_assets.spec.train import ModelSpec, RandomForest
from tests.factory_assets.ml.attribution.cases import LINEAR, NETWORK, drawn, fitted, tumours

pytestmark = pytest.mark.slow


def scores(
    found: Attribution, spec: ModelSpec, rows: LabelledArrays, judged: LabelledArrays
) -> dict[str, float]:
    """The score of each kind, at its best variant."""
    classes = judged.target if judged.target.dtype.kind == "i" else None
    held = halves(rows.target, 12, seed=5)
    models = [fitted(spec, rows.take(np.flatnonzero(half)), judged, seed=9) for half in held]
    observed = np.stack([said(model.outputs(judged.inputs), classes) for model in models])
    best: dict[str, float] = {}
    for variant in found.variants:
        score = lds(found.effects(variant, judged.inputs, classes), held, observed)
        best[variant.by] = max(score, best.get(variant.by, -1.0))
    return best


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_effects_foretell_a_linear_model(classes: int) -> None:
    rows, judged = drawn(150, classes), drawn(15, classes, seed=1)
    found = attribution([fitted(LINEAR, rows, judged)], rows)
    assert found.reach == "all parameters"
    assert scores(found, LINEAR, rows, judged)["gradients"] > 0.7


def test_effects_foretell_a_network_on_breast_cancer() -> None:
    rows, validation, test = tumours()
    found = attribution([fitted(NETWORK, rows, validation, seed) for seed in range(3)], rows)
    assert scores(found, NETWORK, rows, test.take(np.arange(30)))["gradients"] > 0.6


@pytest.mark.parametrize(
    "spec",
    [
        RandomForest(kind="random_forest", trees=20),
        GradientBoosting(kind="gradient_boosting", iterations=20),
    ],
)
def test_neighbours_foretell_trees_a_little(spec: ModelSpec) -> None:
    rows, judged = drawn(200, 2), drawn(15, 2, seed=1)
    found = attribution([fitted(spec, rows, judged)], rows)
    best = scores(found, spec, rows, judged)
    assert set(best) == {"inputs", "leaves"}
    assert max(best.values()) > 0.15


def test_leaves_of_boosted_trees_tell_what_they_predict() -> None:
    rows = drawn(200, 2)
    model = fitted(GradientBoosting(kind="gradient_boosting", iterations=10), rows, rows)
    leaves = leaves_of(model)
    assert leaves is not None
    found, said_of = leaves(rows.inputs), model.outputs(rows.inputs)
    assert found.shape[0] == 200
    _, first, same = np.unique(found, axis=0, return_index=True, return_inverse=True)
    np.testing.assert_allclose(said_of, said_of[first[same.reshape(-1)]])
    assert len(first) > 20


def test_self_influence_finds_flipped_labels() -> None:
    rows, validation, _ = tumours()
    flipped = np.random.default_rng(1).random(len(rows)) < 0.1
    noisy = LabelledArrays(rows.inputs, np.where(flipped, 1 - rows.target, rows.target))
    models = [fitted(NETWORK, noisy, validation, seed) for seed in range(3)]
    found = attribution(models, noisy)
    for variant in found.variants:
        assert roc_auc_score(flipped, found.suspicion(variant)) > 0.95
    apart = disagreement(rows.inputs.numbers, noisy.target)
    assert roc_auc_score(flipped, apart) > 0.95
