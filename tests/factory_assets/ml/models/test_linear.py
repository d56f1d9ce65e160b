"""Linear models answer every row, whatever it contains, and ordinary ones by the formula."""

import numpy as np
import pytest

from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.models.base import Shape
from factory_assets.ml.models.linear import LinearModel

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
