"""Influence of fitted models: does it predict retrained ones, and find wrong labels?"""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from factory_assets.ml.attribution.lds import halves, lds, predicted_quantity
from factory_assets.ml.attribution.methods import Attribution, attribution
from factory_assets.ml.attribution.nearest_neighbours import disagreement, leaves_of
from factory_assets.ml.features.arrays import LabelledArrays
from factory_assets.spec.models import GradientBoosting, RandomForest
from factory_assets.spec.train import ModelSpec
from tests.factory_assets.ml.attribution.cases import LINEAR, NETWORK, drawn, fitted, tumours

pytestmark = pytest.mark.slow


def scores(
    method: Attribution, spec: ModelSpec, rows: LabelledArrays, judged: LabelledArrays
) -> dict[str, float]:
    """Return the LDS of each kind of variant, at the best amount."""
    classes = judged.target if judged.target.dtype.kind == "i" else None
    members = halves(rows.target, 12, seed=5)
    models = [fitted(spec, rows.take(np.flatnonzero(half)), judged, seed=9) for half in members]
    observed = np.stack(
        [predicted_quantity(model.outputs(judged.inputs), classes) for model in models]
    )
    best: dict[str, float] = {}
    for variant in method.variants:
        score = lds(method.effects(variant, judged.inputs, classes), members, observed)
        best[variant.by] = max(score, best.get(variant.by, -1.0))
    return best


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_effects_predict_a_linear_model(classes: int) -> None:
    rows, judged = drawn(150, classes), drawn(15, classes, seed=1)
    method = attribution([fitted(LINEAR, rows, judged)], rows)
    assert method.reach == "all parameters"
    assert scores(method, LINEAR, rows, judged)["gradients"] > 0.7


def test_effects_predict_a_network_on_breast_cancer() -> None:
    rows, validation, test = tumours()
    method = attribution([fitted(NETWORK, rows, validation, seed) for seed in range(3)], rows)
    assert scores(method, NETWORK, rows, test.take(np.arange(30)))["gradients"] > 0.6


@pytest.mark.parametrize(
    "spec",
    [
        RandomForest(kind="random_forest", trees=20),
        GradientBoosting(kind="gradient_boosting", iterations=20),
    ],
)
def test_neighbours_predict_trees_a_little(spec: ModelSpec) -> None:
    rows, judged = drawn(200, 2), drawn(15, 2, seed=1)
    method = attribution([fitted(spec, rows, judged)], rows)
    best = scores(method, spec, rows, judged)
    assert set(best) == {"inputs", "leaves"}
    assert max(best.values()) > 0.15


def test_rows_in_the_same_leaves_of_boosted_trees_have_the_same_output() -> None:
    rows = drawn(200, 2)
    model = fitted(GradientBoosting(kind="gradient_boosting", iterations=10), rows, rows)
    leaves = leaves_of(model)
    assert leaves is not None
    indices, outputs = leaves(rows.inputs), model.outputs(rows.inputs)
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
