"""Weights of a blend: greedy ones against brute force, and the smallest set that is as good."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from numpy.typing import NDArray

from factory_assets.ml.models.portfolio.weights import (
    STEPS,
    BlendedRows,
    greedy_weights,
    smallest_blend,
)

ROWS = 400


def _members(seed: int, *spreads: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return numbers to predict, and members that are each off by chance."""
    chance = np.random.default_rng(seed)
    target = chance.normal(size=ROWS)
    return np.stack([target + chance.normal(0, spread, ROWS) for spread in spreads]), target


def _rows(outputs: NDArray[np.float64], target: NDArray[np.float64]) -> BlendedRows:
    return BlendedRows.of(outputs, target, None)


def _loss(outputs: NDArray[np.float64], target: NDArray[np.float64], weights: object) -> float:
    return float(np.square(np.asarray(weights) @ outputs - target).mean())


@pytest.mark.parametrize("seed", range(5))
def test_greedy_weights_are_those_of_adding_members_one_by_one(seed: int) -> None:
    outputs, target = _members(seed, 1.0, 1.2, 1.5, 3.0)
    means: list[tuple[float, tuple[int, ...]]] = []
    added: tuple[int, ...] = ()
    for _ in range(STEPS):
        tried = [(*added, member) for member in range(4)]
        losses = [_loss(outputs, target, np.bincount(one, minlength=4) / len(one)) for one in tried]
        added = tried[int(np.argmin(losses))]
        means.append((min(losses), added))
    _, best = min(means, key=lambda one: one[0])
    expected = np.bincount(best, minlength=4) / len(best)
    np.testing.assert_allclose(greedy_weights(_rows(outputs, target), range(4)), expected)


@pytest.mark.parametrize("seed", range(5))
def test_greedy_weights_are_nearly_the_best_of_all(seed: int) -> None:
    outputs, target = _members(seed, 1.0, 1.1, 1.5)
    drawn = combinations_with_replacement(range(3), STEPS)
    best = min(_loss(outputs, target, np.bincount(one, minlength=3) / STEPS) for one in drawn)
    found = _loss(outputs, target, greedy_weights(_rows(outputs, target), range(3)))
    assert found == pytest.approx(best, rel=0.005)


def test_a_member_that_may_not_be_added_weighs_nothing() -> None:
    outputs, target = _members(1, 0.1, 1.0, 1.1)
    weights = greedy_weights(_rows(outputs, target), (1, 2))
    assert weights[0] == 0
    assert weights.sum() == pytest.approx(1)
    assert weights[1:].min() > 0.3


def test_one_member_that_is_as_good_as_all_is_kept_alone() -> None:
    outputs, target = _members(2, 0.3, 3.0, 5.0)
    assert smallest_blend(outputs, target, tolerance=0.5, seed=1) == (1.0, 0.0, 0.0)


@pytest.mark.filterwarnings("error")
def test_one_row_keeps_the_member_that_is_best_for_it() -> None:
    outputs, target = np.array([[0.9], [0.1], [0.5]]), np.zeros(1)
    assert smallest_blend(outputs, target, tolerance=0.5, seed=1) == (0.0, 1.0, 0.0)


def test_a_gain_that_may_be_noise_keeps_no_further_member() -> None:
    outputs, target = (some[..., :20] for some in _members(8, 0.5, 1.5))
    both = greedy_weights(_rows(outputs, target), range(2))
    assert 0 < both[1] < 0.2
    assert smallest_blend(outputs, target, tolerance=0.5, seed=1) == (1.0, 0.0)
    assert smallest_blend(outputs, target, tolerance=0.0, seed=1)[1] > 0


def test_more_tolerance_keeps_fewer_members() -> None:
    outputs, target = _members(9, 1.0, 2.0, 3.0, 4.0, 6.0)
    kept = [
        np.count_nonzero(smallest_blend(outputs, target, tolerance=tolerance, seed=1))
        for tolerance in (0.0, 0.25, 0.5, 2.0, 10.0)
    ]
    assert kept == [5, 4, 3, 2, 1]


def test_by_the_absolute_error_a_few_far_rows_do_not_decide() -> None:
    outputs, target = _members(1, 0.5, 1.0)
    outputs[0, :4] += 30
    assert smallest_blend(outputs, target, tolerance=0.5, seed=1)[1] > 0.8
    weights = smallest_blend(outputs, target, tolerance=0.5, seed=1, loss="absolute_error")
    assert weights[0] > 0.6


def test_of_members_that_say_the_same_one_is_kept() -> None:
    outputs, target = _members(3, 1.0)
    same = np.repeat(outputs, 4, axis=0)
    assert sorted(smallest_blend(same, target, tolerance=0.0, seed=1)) == [0, 0, 0, 1]


def test_members_that_complement_each_other_are_all_kept() -> None:
    outputs, target = _members(4, 1.0, 1.0, 1.0)
    weights = smallest_blend(outputs, target, tolerance=0.5, seed=1)
    assert min(weights) > 0.25
    alone = min(_loss(outputs, target, one) for one in np.eye(3))
    assert _loss(outputs, target, weights) < 0.5 * alone


def test_a_class_that_nobody_expected_does_not_decide_alone() -> None:
    target = np.zeros(ROWS, dtype=np.int64)
    sure, unsure = np.tile([1.0, 0.0], (ROWS, 1)), np.tile([0.9, 0.1], (ROWS, 1))
    sure[0] = unsure[0] = 0.0, 1.0
    assert smallest_blend(np.stack([unsure, sure]), target, tolerance=0.5, seed=1) == (0.0, 1.0)


def test_probabilities_are_blended_by_the_logarithm_of_that_of_the_true_class() -> None:
    chance = np.random.default_rng(5)
    target = chance.integers(0, 3, ROWS)
    found, wrong = chance.dirichlet(np.ones(3), (2, ROWS))
    found[np.arange(ROWS), target] += 1
    found /= 2
    weights = np.array(smallest_blend(np.stack([found, wrong]), target, tolerance=0.5, seed=1))
    assert weights.tolist() == [1, 0]
    rows = BlendedRows.of(np.stack([found, wrong]), target, None)
    expected = -np.log((0.8 * found + 0.2 * wrong)[np.arange(ROWS), target])
    np.testing.assert_allclose(rows.losses(np.array([0.8, 0.2]) @ rows.values), expected)


def test_a_heavier_row_counts_as_often_as_it_weighs() -> None:
    outputs, target = _members(6, 1.0, 1.0, 1.3)
    twice = np.where(np.arange(ROWS) < ROWS // 2, 2.0, 1.0)
    rows = np.repeat(np.arange(ROWS), twice.astype(int))
    repeated = greedy_weights(_rows(outputs[:, rows], target[rows]), range(3))
    heavier = BlendedRows.of(outputs, target, twice)
    assert greedy_weights(heavier, range(3)) == pytest.approx(repeated)
    assert greedy_weights(_rows(outputs, target), range(3)) != pytest.approx(repeated)


def test_the_same_seed_draws_the_same_weights() -> None:
    outputs, target = _members(4, 1.0, 1.0, 1.0)
    first, again, other = (
        smallest_blend(outputs, target, tolerance=0.5, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again != other
