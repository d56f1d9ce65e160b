"""Linear models answer every row, whatever it contains, and ordinary ones by the formula.

Numbers far beyond the training rows count as the nearest limit.
"""

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from factory_assets.ml.features.arrays import Arrays, LabelledArrays
from factory_assets.ml.models.base import FitContext, Shape
from factory_assets.ml.models.linear import LinearModel
from factory_assets.ml.models.onnx_nodes import graph_outputs
from factory_assets.spec.linear import Linear
from factory_assets.spec.train import Task

WEIGHTS = np.array([[0.0, 5.0], [0.0, -5.0]], np.float32)


def rows(*numbers: tuple[float, float]) -> Arrays:
    return Arrays(np.array(numbers, np.float32), np.empty((len(numbers), 0), np.int64))


def test_one_absurd_number_does_not_end_the_judgement_of_all_rows() -> None:
    model = LinearModel(Shape("binary", 2, (), 2), WEIGHTS, np.zeros(2, np.float32))
    given = rows((2e38, 0), (0, 2e38), (-2e38, 0), (np.inf, 0), (0.1, 0))
    likely = model.outputs(given)[:, 1]
    assert likely.tolist() == pytest.approx([1, 0, 0, 1, 1 / (1 + np.exp(-0.5))])
    assert np.isfinite(model.outputs(rows((2e38, 2e38)))).all()
    number = LinearModel(Shape("regression", 2, (), 1), WEIGHTS[:, 1:], np.zeros(1, np.float32))
    assert np.isfinite(number.outputs(given)).all()


def fitted(task: Task, extrapolation: float | None) -> LinearModel:
    """Fit a model on numbers from 0 to 50 and 2 to 3, and a category of two words."""
    chance = np.random.default_rng(1)
    numbers = np.column_stack([np.linspace(0, 50, 200), chance.uniform(2, 3, 200)])
    numbers[:2, 1] = 2, 3
    codes = chance.integers(0, 2, (200, 1))
    score = numbers[:, 0] / 25 - numbers[:, 1] + codes[:, 0]
    target = score if task == "regression" else (score > 0).astype(np.int64)
    spec = Linear(kind="linear", extrapolation=extrapolation)
    shape = Shape(task, 2, (2,), 1 if task == "regression" else 2)
    context = FitContext(spec, shape, 0, None, Path(), Path(), lambda _: None)
    train = LabelledArrays(Arrays(numbers.astype(np.float32), codes), target)
    model = LinearModel.fit(context, train, train).model
    assert isinstance(model, LinearModel)
    return model


def of_one_word(*numbers: tuple[float, float]) -> Arrays:
    return Arrays(np.array(numbers, np.float32), np.ones((len(numbers), 1), np.int64))


@pytest.mark.parametrize("task", ["binary", "regression"])
@pytest.mark.parametrize(
    ("extrapolation", "low", "high"),
    [(1.0, (-50, 1), (100, 4)), (0.0, (0, 2), (50, 3)), (0.5, (-25, 1.5), (75, 3.5))],
)
def test_numbers_further_beyond_the_training_rows_count_as_their_limit(
    task: Task,
    extrapolation: float,
    low: tuple[float, float],
    high: tuple[float, float],
    tmp_path: Path,
) -> None:
    model = fitted(task, extrapolation)
    rows = of_one_word(low, (low[0] - 1, -9e30), high, (999_999, np.inf), (high[0] - 1, high[1]))
    lowest, lower, highest, higher, inside = model.outputs(rows).tolist()
    assert lower == lowest != highest == higher != inside
    model.save(tmp_path)
    spec = Linear(kind="linear", extrapolation=extrapolation)
    loaded = LinearModel.load(
        spec, Shape(task, 2, (2,), model.layer().out_features), tmp_path, tmp_path
    )
    assert (loaded.outputs(rows) == model.outputs(rows)).all()
    served = graph_outputs(loaded.graph(), rows)
    assert np.abs(served.reshape(5, -1) - model.outputs(rows).reshape(5, -1)).max() < 1e-5


def test_without_limits_effects_go_on_and_the_stored_arrays_are_those_of_before(
    tmp_path: Path,
) -> None:
    model = fitted("regression", None)
    first, second, third = model.outputs(of_one_word((1e6, 2), (2e6, 2), (3e6, 2)))
    assert third - second == pytest.approx(second - first, rel=1e-4)
    assert second > first + 1e4
    model.save(tmp_path)
    with safe_open(tmp_path / "weights.safetensors", "numpy") as stored:
        assert sorted(stored.keys()) == ["bias", "weights"]
