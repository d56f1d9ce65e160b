"""The linear datamodelling score: on known effects, and compared with dattri."""

import numpy as np
import pytest
import torch

from factory_assets.ml.attribution.lds import ceiling, halves, lds, predicted_quantity


def test_halves_hold_half_of_every_class() -> None:
    target = np.array([0] * 10 + [1] * 5 + [2])
    members = halves(target, 20, seed=0)
    assert members.shape == (20, 16)
    for half in members:
        assert np.bincount(target[half]).tolist() == [5, 3, 1]
    assert len(np.unique(members, axis=0)) > 15
    assert (members == halves(target, 20, seed=0)).all()
    assert (halves(np.zeros(9, np.float32), 3, seed=0).sum(axis=1) == 5).all()


def test_lds_of_true_negated_and_random_effects() -> None:
    chance = np.random.default_rng(0)
    effects = chance.normal(size=(4, 50))
    members = halves(np.zeros(50, np.int64), 40, seed=1)
    observed = np.exp(members @ effects.T)
    assert lds(effects, members, observed) == pytest.approx(1)
    assert lds(-effects, members, observed) == pytest.approx(-1)
    assert abs(lds(chance.normal(size=(4, 50)), members, observed)) < 0.4
    assert lds(effects, members, np.ones((40, 4))) == 0


def test_lds_equals_dattri() -> None:
    # Whose import takes 3 s of CPU, in each process that collects tests.
    from dattri.metric import lds as theirs

    chance = np.random.default_rng(0)
    effects, observed = chance.normal(size=(3, 20)), chance.normal(size=(12, 3))
    members = halves(np.zeros(20, np.int64), 12, seed=1)
    places = torch.from_numpy(np.stack([np.flatnonzero(half) for half in members]))
    expected, _ = theirs(torch.from_numpy(effects.T), (torch.from_numpy(observed), places))
    assert lds(effects, members, observed) == pytest.approx(float(expected.mean()))


def test_ceiling_is_the_score_of_perfect_effects() -> None:
    chance = np.random.default_rng(0)
    effects = chance.normal(size=(30, 200))
    members = halves(np.zeros(200, np.int64), 60, seed=1)
    true = members @ effects.T
    observed = true[:, None] + chance.normal(size=(60, 3, 30)) * true.std() * 1.5
    assert ceiling(observed) == pytest.approx(
        lds(effects, members, observed.mean(axis=1)), abs=0.05
    )
    assert ceiling(observed[:, :1]) == 1


def test_said_returns_the_log_odds_of_a_class() -> None:
    shares = np.array([[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]])
    log_odds = predicted_quantity(shares, np.array([1, 0, 1]))
    assert log_odds[0] == pytest.approx(np.log(4))
    assert log_odds[1] == 0
    assert np.isfinite(log_odds).all()
    assert predicted_quantity(np.array([3.0]), None) == 3
