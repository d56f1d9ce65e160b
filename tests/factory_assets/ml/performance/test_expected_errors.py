"""Metrics of numbers whose errors are only expected: by hand, and the same as of certain ones."""

import numpy as np
import pytest

from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.ml.performance.estimation import ESTIMABLE
from factory_assets.ml.performance.expected_errors import ErrorModels, ExpectedErrors
from factory_assets.ml.performance.labelled_rows import EncodedRows

NAMES = ESTIMABLE["regression"]


def two_rows() -> ExpectedErrors:
    return ExpectedErrors(
        outputs=np.array([0.0, 4.0]),
        mean=np.array([1.0, -1.0]),
        size=np.array([1.5, 2.5]),
        square=np.array([3.0, 7.0]),
        residuals=np.array([-1.0, 1.0]),
    )


def test_two_rows_by_hand() -> None:
    # The truth is expected to be 1 and 3, with variances of 2 and 6 around it: 1 + 4 in all.
    assert two_rows().metrics(NAMES) == pytest.approx({"mae": 2, "rmse": 5**0.5, "r2": 1 - 5 / 5})
    assert two_rows().metrics(["mae"]) == {"mae": 2}
    assert two_rows().take(np.array([], dtype=int)).metrics(NAMES) == {}


def test_certain_numbers_have_the_metrics_of_an_evaluation() -> None:
    truth = np.array([-0.5, 7.0])
    real = ScoredRows("regression", truth, two_rows().outputs).metrics(NAMES)
    assert two_rows().known(truth).metrics(NAMES) == pytest.approx(real)
    assert "r2" not in two_rows().take(np.array([0])).known(truth[:1]).metrics(NAMES)


def test_drawn_numbers_vary_around_their_expectation() -> None:
    generator = np.random.default_rng(0)
    errors = np.array([two_rows().draw(generator).mean for _ in range(2_000)])
    assert errors.mean(axis=0) == pytest.approx([1, -1], abs=0.2)
    assert (errors**2).mean(axis=0) == pytest.approx([3, 7], rel=0.1)


def test_models_learn_where_errors_are_large() -> None:
    generator = np.random.default_rng(0)
    inputs = generator.uniform(-1, 1, (3_000, 1))
    outputs = np.zeros(3_000)
    truth = generator.normal(size=3_000) * np.where(inputs[:, 0] > 0, 2.0, 0.5)
    rows = EncodedRows(inputs.astype(np.float32), outputs)
    expected = ErrorModels.fit(rows, truth, 0).expect(rows)
    for sign, spread in ((1, 2.0), (-1, 0.5)):
        half = expected.take(np.flatnonzero(sign * inputs[:, 0] > 0)).metrics(NAMES)
        assert half["rmse"] == pytest.approx(spread, rel=0.1)
        assert half["mae"] == pytest.approx(spread * (2 / np.pi) ** 0.5, rel=0.1)


def test_a_model_without_errors_has_none() -> None:
    rows = EncodedRows(np.arange(60, dtype=np.float32)[:, None], np.arange(60.0))
    found = ErrorModels.fit(rows, np.arange(60.0), 0).expect(rows)
    assert found.metrics(NAMES) == {"mae": 0, "rmse": 0, "r2": 1}
