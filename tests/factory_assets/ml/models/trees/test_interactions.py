"""Products and differences of inputs: which are combined, what they find, ONNX, wrong files."""

from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest

from factory_assets.ml.artifacts.trained_model import save_trained
from factory_assets.ml.models.base import Shape
from factory_assets.ml.models.trees.interactions import FILE, Interactions
from factory_assets.ml.training.fitting import fit
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import pipeline
from tests.factory_assets.ml.models.test_kinds import fitted, same_everywhere

KINDS = ("gradient_boosting", "lightgbm")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("combine", [np.multiply, np.subtract])
def test_a_limit_of_a_combination_is_found(kind: str, combine: np.ufunc, tmp_path: Path) -> None:
    chance = np.random.default_rng(1)

    def load(count: int) -> pa.Table:
        torque, speed = chance.uniform(1, 3, (2, count)).astype(np.float32)
        fails = combine(torque, speed) > (6 if combine is np.multiply else 1.2)
        cells = {"_file": ["f"] * count, "_row": range(count), "torque": torque, "speed": speed}
        return pa.table({**cells, "y": fails.astype(int)})

    training, validation, fresh = load(2_000), load(500), load(10_000)

    def wrong(interactions: int) -> float:
        model = {"kind": kind, "interactions": interactions}
        declared = pipeline(tmp_path, model, threshold=0.5)
        trained = fit(declared, training, validation, Home(tmp_path / "home")).trained
        positive = trained.outputs(fresh)[:, 1] >= 0.5
        return float((positive != fresh["y"].to_numpy()).mean())

    assert wrong(2) < 0.3 * wrong(0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_interactions_are_stored_and_exported(kind: str, task: str, tmp_path: Path) -> None:
    model = {"kind": kind, "iterations": 20, "interactions": 4}
    result = fitted(tmp_path, model, task)
    assert result.trained.model._interactions.pairs  # type: ignore[attr-defined]
    same_everywhere(result.trained, tmp_path, task, 1e-5)


@pytest.mark.slow
def test_an_ensemble_of_boosting_has_one_set_of_pairs(tmp_path: Path) -> None:
    model = {"kind": "gradient_boosting", "iterations": 9, "interactions": 4}
    result = fitted(tmp_path, {**model, "ensemble": 2, "max_features": 0.5})
    same_everywhere(result.trained, tmp_path, "binary", 1e-5)


def test_the_most_useful_numbers_are_combined() -> None:
    matrix = np.array([[1, 5, 0, 2, 0], [2, 6, 1, 2, 1], [3, 8, 0, 1, 0]], dtype=np.float32)
    gains = np.array([1.0, 7.0, 9.0, 0.0, 50.0])
    # Column 2 has two values, 3 is of no use, 4 is no number.
    found = Interactions.among(matrix, gains, numbers=4, most=3)
    assert found.pairs == ((1, 0),)
    appended = found.append(matrix)
    np.testing.assert_array_equal(appended[:, :5], matrix)
    np.testing.assert_array_equal(appended[:, 5:].T, [[5, 12, 24], [4, 4, 5]])
    assert Interactions.among(matrix, gains, numbers=4, most=1).append(matrix) is matrix


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"pairs": [[0, 9]]}', "names inputs that the model does not have"),
        ('{"pairs": [[0, -1]]}', "does not contain pairs of inputs"),
        ("[]", "does not contain pairs of inputs"),
    ],
)
def test_a_wrong_file_is_refused(kind: str, content: str, message: str, tmp_path: Path) -> None:
    trained = fitted(tmp_path, {"kind": kind, "iterations": 3, "interactions": 4}).trained
    files = tmp_path / "files"
    files.mkdir()
    save_trained(trained, files)
    (files / FILE).write_text(content)
    description = trained.description
    with pytest.raises(ModelError, match=message):
        type(trained.model).load(description.spec, description.shape, files, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_without_its_pairs_is_refused(kind: str, tmp_path: Path) -> None:
    trained = fitted(tmp_path, {"kind": kind, "iterations": 3, "interactions": 4}).trained
    files = tmp_path / "files"
    files.mkdir()
    save_trained(trained, files)
    (files / FILE).unlink()
    description = trained.description
    with pytest.raises(ModelError, match="does not match the inputs"):
        type(trained.model).load(description.spec, description.shape, files, tmp_path)


def test_what_exceeds_float32_is_its_limit_in_the_graph_too() -> None:
    pairs = Interactions(pairs=((0, 1),))
    matrix = np.array([[3e38, 3e38], [3e38, -3e38], [2, 3]], dtype=np.float32)
    largest = np.finfo(np.float32).max
    appended = pairs.append(matrix)
    np.testing.assert_array_equal(appended[:, 2:], [[largest, 0], [-largest, largest], [6, -1]])
    shape = Shape(task="binary", numbers=2, cardinalities=(), outputs=2)
    session = onnxruntime.InferenceSession(pairs.graph(shape).SerializeToString())
    np.testing.assert_array_equal(session.run(None, {"numbers": matrix})[0], appended)
