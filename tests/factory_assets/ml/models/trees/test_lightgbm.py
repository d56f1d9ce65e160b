"""LightGBM: stopped by validation rows, the same on any number of cores, absent without it."""

import sys
from pathlib import Path

import numpy as np
import pytest

from factory_assets.execution import cache_key
from factory_assets.ml.artifacts.trained_model import save_trained
from factory_assets.ml.models.trees.lightgbm import FILE, LightGbmModel
from factory_resources.errors import ModelError
from tests.factory_assets.ml.models.cases import pipeline, rows
from tests.factory_assets.ml.models.test_kinds import fitted, same_everywhere

pytestmark = pytest.mark.slow


def test_stops_by_validation_rows(tmp_path: Path) -> None:
    model = {"kind": "lightgbm", "iterations": 500, "patience": 5, "learning_rate": 0.3}
    found = fitted(tmp_path, model)
    losses = {epoch.epoch: epoch.validation_loss for epoch in found.history}
    assert found.best_epoch == min(losses, key=lambda epoch: losses[epoch])
    assert len(losses) == found.best_epoch + 5
    assert found.validation["log_loss"] == pytest.approx(min(losses.values()), abs=1e-6)


def test_many_trees_over_names_are_served_alike(tmp_path: Path) -> None:
    model = {"kind": "lightgbm", "iterations": 300, "patience": 300, "max_features": 0.5}
    found = fitted(tmp_path, model, "multiclass", class_weights="balanced")
    same_everywhere(found.trained, tmp_path, "multiclass", 1e-5)


def test_the_same_on_one_core_and_on_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from factory_assets.ml.models.trees import lightgbm

    ours = lightgbm._parameters
    said = []
    for cores in (1, 2):
        monkeypatch.setattr(
            lightgbm, "_parameters", lambda *given, n=cores: {**ours(*given), "num_threads": n}
        )
        found = fitted(tmp_path, {"kind": "lightgbm", "iterations": 30})
        said.append(found.trained.outputs(rows(500, 3)))
    np.testing.assert_array_equal(said[0], said[1])


def test_without_the_extra_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(ModelError, match=r"train.model.kind: .*; pip install '.\[lightgbm\]'"):
        fitted(tmp_path, {"kind": "lightgbm"})


def test_other_files_are_refused(tmp_path: Path) -> None:
    found = fitted(tmp_path, {"kind": "lightgbm", "iterations": 5})
    save_trained(found.trained, tmp_path)
    shape, spec = found.trained.description.shape, found.trained.description.spec
    narrower = type(shape)(shape.task, shape.numbers - 1, shape.cardinalities, shape.outputs)
    with pytest.raises(ModelError, match=f"{FILE} does not fit the inputs"):
        LightGbmModel.load(spec, narrower, tmp_path, tmp_path)
    (tmp_path / FILE).write_text("tree\nnothing\n")
    with pytest.raises(ModelError, match=f"{FILE} holds no trees"):
        LightGbmModel.load(spec, shape, tmp_path, tmp_path)


def test_its_version_is_in_the_key_where_it_trains(tmp_path: Path) -> None:
    with_it = cache_key.cache_key_components(pipeline(tmp_path, {"kind": "lightgbm"}), "train", {})
    without = cache_key.cache_key_components(pipeline(tmp_path, {"kind": "linear"}), "train", {})
    assert with_it["libraries"]["lightgbm"]
    assert "lightgbm" not in without["libraries"]
