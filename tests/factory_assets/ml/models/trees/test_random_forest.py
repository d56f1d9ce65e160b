"""Forests: what their splits look at and lower, and the graph of many trees."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.artifacts.onnx_export import export
from factory_assets.ml.artifacts.onnx_model import OnnxModel
from factory_assets.ml.models.trees.random_forest import ForestModel
from factory_assets.ml.training.fitting import fit
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import pipeline, rows

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["random_forest", "extra_trees"])
def test_splits_that_look_at_more_inputs_find_a_rule_among_many(kind: str, tmp_path: Path) -> None:
    chance = np.random.default_rng(1)

    def load(count: int) -> pa.Table:
        columns = chance.normal(size=(25, count))
        fails = (columns[0] > 0.8) & (columns[1] > 0.8)
        cells = {"_file": ["f"] * count, "_row": range(count), "y": fails.astype(int)}
        return pa.table(cells | {f"x{i}": column for i, column in enumerate(columns)})

    training, validation, fresh = load(1_500), load(100), load(10_000)

    def wrong(**settings: float) -> float:
        declared = pipeline(tmp_path, {"kind": kind, "trees": 50, **settings}, threshold=0.5)
        trained = fit(declared, training, validation, Home(tmp_path / "home")).trained
        positive = trained.outputs(fresh)[:, 1] >= 0.5
        return float((positive != fresh["y"].to_numpy()).mean())

    assert wrong(max_features=1.0) < 0.7 * wrong()
    assert wrong(max_features=0.2) == wrong()


@pytest.mark.parametrize("kind", ["random_forest", "extra_trees"])
@pytest.mark.parametrize("declared", [{}, {"criterion": "gini"}])
def test_splits_lower_the_declared_measure_of_classes(
    kind: str, declared: dict[str, str], tmp_path: Path
) -> None:
    model = {"kind": kind, "trees": 1, **declared}
    fitted = fit(pipeline(tmp_path, model), rows(200, 1), rows(50, 2), Home(tmp_path / "home"))
    assert isinstance(fitted.trained.model, ForestModel)
    tree = fitted.trained.model._estimator.estimators_[0].tree_
    shares = tree.value[0, 0]
    gini, entropy = 1 - np.square(shares).sum(), -(shares * np.log2(shares)).sum()
    assert tree.impurity[0] == pytest.approx(gini if declared else entropy)


@pytest.mark.long
def test_many_trees_of_one_mind_are_calibrated_in_the_graph_too(tmp_path: Path) -> None:
    model = {"kind": "extra_trees", "trees": 800}
    declared = pipeline(tmp_path, model, calibrate="temperature")
    training = rows(300, 1)
    trained = fit(declared, training, rows(100, 2), Home(tmp_path / "home")).trained
    served = OnnxModel.of(export(trained)).outputs(training)
    np.testing.assert_allclose(served, trained.outputs(training), atol=1e-5)
