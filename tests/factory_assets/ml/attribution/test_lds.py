"""The linear datamodelling score, on effects that are known, and against dattri's."""

import numpy as np
import pytest
import torch
from dattri.metric import lds as theirs

from factory_assets.ml.attribution.lds import ceiling, halves, lds, said


def test_halves_hold_half_of_every_class() -> None:
    target = np.array([0] * 10 + [1] * 5 + [2])
    held = halves(target, 20, seed=0)
    assert held.shape == (20, 16)
    for half in held:
        assert np.bincount(target[half]).tolist() == [5, 3, 1]
    assert len(np.unique(held, axis=0)) > 15
    assert (held == halves(target, 20, seed=0)).all()
    assert (halves(np.zeros(9, np.float32), 3, seed=0).sum(axis=1) == 5).all()


def test_the_score_of_true_false_and_no_effects() -> None:
    chance = np.random.default_rng(0)
    effects = chance.normal(size=(4, 50))
    held = halves(np.zeros(50, np.int64), 40, seed=1)
    observed = np.exp(held @ effects.T)
    assert lds(effects, held, observed) == pytest.approx(1)
    assert lds(-effects, held, observed) == pytest.approx(-1)
    assert abs(lds(chance.normal(size=(4, 50)), held, observed)) < 0.4
    assert lds(effects, held, np.ones((40, 4))) == 0


def test_it_is_dattris() -> None:
    chance = np.random.default_rng(0)
    effects, observed = chance.normal(size=(3, 20)), chance.normal(size=(12, 3))
    held = halves(np.zeros(20, np.int64), 12, seed=1)
    places = torch.from_numpy(np.stack([np.flatnonzero(half) for half in held]))
    found, _ = theirs(torch.from_numpy(effects.T), (torch.from_numpy(observed), places))
    assert lds(effects, held, observed) == pytest.approx(float(found.mean()))


def test_the_ceiling_is_what_perfect_effects_reach() -> None:
    chance = np.random.default_rng(0)
    effects = chance.normal(size=(30, 200))
    held = halves(np.zeros(200, np.int64), 60, seed=1)
    true = held @ effects.T
    observed = true[:, None] + chance.normal(size=(60, 3, 30)) * true.std() * 1.5
    assert ceiling(observed) == pytest.approx(lds(effects, held, observed.mean(axis=1)), abs=0.05)
    assert ceiling(observed[:, :1]) == 1


def test_what_is_said_is_the_log_odds_of_a_class() -> None:
    shares = np.array([[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]])
    found = said(shares, np.array([1, 0, 1]))
    assert found[0] == pytest.approx(np.log(4))
    assert found[1] == 0
    assert np.isfinite(found).all()
    assert said(np.array([3.0]), None) == 3
