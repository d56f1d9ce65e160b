"""LightGBM: early stopping, several cores, ONNX export, missing package, wrong files."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.execution import cache_key
from factory_assets.ml.artifacts.trained_model import save_trained
from factory_assets.ml.models.onnx_nodes import round_down
from factory_assets.ml.models.trees.lightgbm import FILE, LightGbmModel
from factory_assets.ml.training.fitting import fit
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import pipeline, rows
from tests.factory_assets.ml.models.test_kinds import fitted, same_everywhere

pytestmark = pytest.mark.slow


def test_early_stopping_uses_the_validation_rows(tmp_path: Path) -> None:
    model = {"kind": "lightgbm", "iterations": 500, "patience": 5, "learning_rate": 0.3}
    result = fitted(tmp_path, model)
    losses = {epoch.epoch: epoch.validation_loss for epoch in result.history}
    assert result.best_epoch == min(losses, key=lambda epoch: losses[epoch])
    assert len(losses) == result.best_epoch + 5
    assert result.validation["log_loss"] == pytest.approx(min(losses.values()), abs=1e-6)


@pytest.mark.parametrize(("bins", "is_found"), [(1023, True), (255, False)])
def test_a_limit_that_few_rows_exceed_is_found(bins: int, is_found: bool, tmp_path: Path) -> None:
    chance = np.random.default_rng(1)

    def load(count: int) -> pa.Table:
        force = chance.uniform(0, 1, count)
        cells = {"_file": ["f"] * count, "_row": range(count), "force": force}
        return pa.table({**cells, "y": (force > 0.993).astype(int)})

    declared = pipeline(tmp_path, {"kind": "lightgbm", "max_bins": bins}, threshold=0.5)
    trained = fit(declared, load(10_000), load(2_000), Home(tmp_path / "home")).trained
    fresh = load(20_000)
    wrong = (trained.outputs(fresh)[:, 1] >= 0.5) != fresh["y"].to_numpy()
    assert (wrong.mean() < 0.0005) == is_found


def test_onnx_export_of_many_trees_over_categories_matches_the_model(tmp_path: Path) -> None:
    model = {"kind": "lightgbm", "iterations": 300, "patience": 300, "max_features": 0.5}
    result = fitted(tmp_path, model, "multiclass", class_weights="balanced")
    same_everywhere(result.trained, tmp_path, "multiclass", 1e-5)


@pytest.mark.parametrize("value", [640.87317, 550.00702, 1e-3, -2.5, 0.0, -1e-30])
def test_an_exported_threshold_parts_the_same_numbers(value: float) -> None:
    below = np.float32(value)
    above = np.nextafter(below, np.float32(np.inf))
    for share in (0.0, 0.25, 0.5, 0.75):
        threshold = float(below) + share * (float(above) - float(below))
        exported = round_down(threshold)
        for number in (below, above):
            assert (number <= exported) == (float(number) <= threshold)


def test_trees_do_not_depend_on_the_number_of_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from factory_assets.ml.models.trees import lightgbm

    parameters = lightgbm._parameters
    outputs = []
    for cores in (1, 2):
        monkeypatch.setattr(
            lightgbm, "_parameters", lambda *args, n=cores: {**parameters(*args), "num_threads": n}
        )
        result = fitted(tmp_path, {"kind": "lightgbm", "iterations": 30})
        outputs.append(result.trained.outputs(rows(500, 3)))
    np.testing.assert_array_equal(outputs[0], outputs[1])


def test_a_missing_package_is_reported_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ModelError, match=r"train.model.kind: .*; pip install '.\[lightgbm\]'"):
        fitted(tmp_path, {"kind": "lightgbm"})


def test_load_rejects_files_that_do_not_match_the_model(tmp_path: Path) -> None:
    result = fitted(tmp_path, {"kind": "lightgbm", "iterations": 5})
    save_trained(result.trained, tmp_path)
    shape, spec = result.trained.description.shape, result.trained.description.spec
    narrower = type(shape)(shape.task, shape.numbers - 1, shape.cardinalities, shape.outputs)
    with pytest.raises(ModelError, match=f"{FILE} does not match the inputs of the model"):
        LightGbmModel.load(spec, narrower, tmp_path, tmp_path)
    (tmp_path / FILE).write_text("tree\nnothing\n")
    with pytest.raises(ModelError, match=f"{FILE} does not contain LightGBM trees"):
        LightGbmModel.load(spec, shape, tmp_path, tmp_path)


def test_only_a_lightgbm_cache_key_contains_its_version(tmp_path: Path) -> None:
    with_it = cache_key.cache_key_components(pipeline(tmp_path, {"kind": "lightgbm"}), "train", {})
    without = cache_key.cache_key_components(pipeline(tmp_path, {"kind": "linear"}), "train", {})
    assert with_it["libraries"]["lightgbm"]
    assert "lightgbm" not in without["libraries"]
