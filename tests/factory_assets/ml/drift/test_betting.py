"""Bets: each has the mean 1 over a uniform p-value, and none overflows."""

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.stats import norm

from factory_assets.ml.drift.betting import (
    PREDICTIONS,
    STRATEGIES,
    BinCounts,
    count_bins,
    log_bets,
)

WIDTHS = np.array([[0.1] * 10, [0.95, 0.05, *[0.0] * 8], [0.5, 0.3, 0.2, *[0.0] * 7]])
OLD = np.array([[3.0, 1.0, *[0.5] * 8], [40.0, 0.0, *[0.0] * 8], [0.0] * 10])
MEMORY = np.stack([OLD, 2 * OLD])


def _factors(p_values: np.ndarray, test: int) -> np.ndarray:
    """[draws, strategies], what each bet multiplies with in independent looks [rows, draws]."""
    draws = p_values.shape[1]
    widths = np.tile(WIDTHS[test], (draws, 1))
    memory = np.tile(MEMORY[:, test : test + 1], (1, draws, 1))
    return np.exp(log_bets(p_values, BinCounts(widths, count_bins(p_values, widths), memory)))


@pytest.mark.parametrize("test", range(3))
def test_every_bet_on_one_p_value_integrates_to_one(test: int) -> None:
    # Normal scores as the variable: large shifts are decided in the last 1e-5 of the p-values.
    scores = np.linspace(-8, 8, 160_001)
    integrals = trapezoid(_factors(norm.cdf(scores)[None], test).T * norm.pdf(scores), scores)
    assert integrals.shape == (STRATEGIES,)
    assert integrals == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("test", range(3))
def test_a_bet_of_bins_on_several_p_values_has_the_mean_one(test: int) -> None:
    """Over all ways in which three p-values fall into bins."""
    exists = np.flatnonzero(WIDTHS[test])
    middles = WIDTHS[test].cumsum() - WIDTHS[test] / 2
    ways = np.stack(np.meshgrid(exists, exists, exists)).reshape(3, -1)
    means = WIDTHS[test][ways].prod(axis=0) @ _factors(middles[ways], test)
    assert means[-len(PREDICTIONS) :] == pytest.approx(1)


def test_no_p_values_change_nothing() -> None:
    bins = BinCounts(WIDTHS, count_bins(np.full((4, 3), np.nan), WIDTHS), MEMORY)
    assert log_bets(np.full((4, 3), np.nan), bins).tolist() == [[0.0] * STRATEGIES] * 3
    assert bins.remember().tolist() == MEMORY.tolist()


@pytest.mark.parametrize("extreme", [2.0**-54, 1 - 2.0**-53])
def test_thousands_of_extreme_p_values_stay_finite(extreme: float) -> None:
    p_values = np.full((100_000, 3), extreme)
    bets = log_bets(p_values, BinCounts(WIDTHS, count_bins(p_values, WIDTHS), MEMORY))
    assert np.isfinite(bets).all()
    assert bets.max() > 1e5


def test_p_values_are_counted_in_bins_of_their_test() -> None:
    p_values = np.array([[0.05, 0.94, np.nan], [0.15, 0.96, 0.6], [0.95, 0.99, 0.9]])
    counts = count_bins(p_values, WIDTHS)
    assert counts[0].tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert counts[1][:2].tolist() == [1, 2]
    assert counts[2][:3].tolist() == [0, 1, 1]


def test_whoever_remembers_a_bin_gains_more_if_p_values_fall_into_it_again() -> None:
    p_values, widths = np.full((9, 1), 0.95), WIDTHS[:1]
    counts = count_bins(p_values, widths)
    new = BinCounts(widths, counts, np.zeros((2, 1, 10)))
    known = BinCounts(widths, counts, np.tile(counts, (2, 1, 1)))
    gained = (log_bets(p_values, known) - log_bets(p_values, new))[0, -len(PREDICTIONS) :]
    assert (gained > 0).tolist() == [memory is not None for _, memory in PREDICTIONS]


def test_what_bins_remember_fades_by_rows() -> None:
    memory = np.zeros((2, 1, 10))
    memory[:, 0, 0] = 64.0
    p_values = np.full((1_000, 1), 0.95)
    bins = BinCounts(WIDTHS[:1], count_bins(p_values, WIDTHS[:1]), memory)
    assert bins.remember()[:, 0, 0].tolist() == [64 / 2**10, 16.0]
    assert bins.remember()[:, 0, 9].tolist() == [1_000.0, 1_000.0]
