"""The expected calibration error, compared with torchmetrics, scikit-learn and by hand."""

import numpy as np
import pytest

from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.ml.metrics.reliability import BINS, bin_by_probability


def test_error_matches_numbers_worked_out_by_hand() -> None:
    """Two rows near .05 of which none is positive, two near .95 of which one is."""
    result = bin_by_probability(np.array([0.04, 0.06, 0.95, 0.97]), np.array([0, 0, 1, 0]))
    assert result.counts.tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    assert result.error == pytest.approx((0.05 + 0.46) / 2)
    edges = bin_by_probability(np.array([0.0, 1.0]), np.array([0, 1]))
    assert edges.error == 0.0
    assert edges.counts[-1] == 1


def test_bins_match_scikit_learn() -> None:
    from sklearn.calibration import calibration_curve

    chance = np.random.default_rng(0)
    given = chance.random(500)
    true = (chance.random(500) < given**2).astype(int)
    shares, means = calibration_curve(true, given, n_bins=BINS)
    result = bin_by_probability(given, true)
    np.testing.assert_allclose(result.true, shares)
    np.testing.assert_allclose(result.given, means)


def test_error_of_two_classes_matches_torchmetrics() -> None:
    import torch
    from torchmetrics.functional.classification import binary_calibration_error

    chance = np.random.default_rng(1)
    yes = chance.random(700)
    truth = (chance.random(700) < yes**2).astype(int)
    scored = ScoredRows("binary", truth, np.stack([1 - yes, yes], axis=1), threshold=0.3)
    theirs = binary_calibration_error(
        torch.from_numpy(yes), torch.from_numpy(truth), n_bins=BINS, norm="l1"
    )
    assert scored.metrics({"ece"})["ece"] == pytest.approx(float(theirs), abs=1e-6)


def test_error_of_several_classes_matches_torchmetrics() -> None:
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    chance = np.random.default_rng(2)
    outputs = chance.dirichlet([1, 1, 1], 700)
    truth = chance.integers(0, 3, 700)
    scored = ScoredRows("multiclass", truth, outputs)
    theirs = multiclass_calibration_error(
        torch.from_numpy(outputs),
        torch.from_numpy(truth),
        num_classes=3,
        n_bins=BINS,
        norm="l1",
    )
    assert scored.metrics({"ece"})["ece"] == pytest.approx(float(theirs), abs=1e-6)
