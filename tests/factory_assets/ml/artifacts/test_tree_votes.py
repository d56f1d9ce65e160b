"""A calibrated forest is served as it was judged, also where all of its trees agree."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from factory_assets.ml.artifacts.calibration import Calibration
from factory_assets.ml.artifacts.onnx_export import export
from factory_assets.ml.artifacts.onnx_model import OnnxModel
from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.ml.artifacts.tree_votes import with_votes_of_both
from factory_assets.ml.training.fitting import fit
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import KINDS, pipeline, rows


def fitted(kind: str, folder: Path, home: Home, task: str = "binary") -> TrainedModel:
    table = rows(200, 1, task)
    return fit(pipeline(folder, KINDS[kind]), table.slice(0, 150), table.slice(150), home).trained


@pytest.mark.parametrize("kind", ["random_forest", "extra_trees"])
def test_a_calibration_magnifies_no_rounding_of_the_votes(
    kind: str, home: Home, tmp_path: Path
) -> None:
    trained, table = fitted(kind, tmp_path, home), rows(200, 1)
    doubting = Calibration(method="temperature", slope=0.2)
    described = trained.description.model_copy(update={"calibration": doubting})
    trained = replace(trained, description=described)
    judged, plain = trained.outputs(table), export(trained)
    both = with_votes_of_both(plain)
    assert both
    errors = [np.abs(OnnxModel.of(g).outputs(table) - judged).max() for g in (plain, both)]
    assert errors[0] > 1e-4
    assert errors[1] < 1e-6
    assert with_votes_of_both(both) is None


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("extra_trees", "multiclass"),
        ("extra_trees", "regression"),
        ("gradient_boosting", "binary"),
        ("lightgbm", "binary"),
        ("linear", "binary"),
    ],
)
def test_other_models_have_no_such_votes(kind: str, task: str, home: Home, tmp_path: Path) -> None:
    assert with_votes_of_both(export(fitted(kind, tmp_path, home, task))) is None
