"""Bets against p-values: functions of a p-value whose mean is 1 if it is uniform.

A bet multiplies what it has by the function's value at each p-value. If the rows have not changed,
its expectation stays 1; if they have, one of the bets below grows exponentially:

* shifts and spreads: the likelihood ratio of the normal score of p, N(shift, spread²) to N(0, 1);
* bins: how the next p-values divide over bins, predicted from the bins of recent ones (a
  Dirichlet-multinomial distribution) against the widths of the bins. For any other change.

All values are logarithms: of products over thousands of rows, nothing else can be stored.

Source: Vovk, Nouretdinov, Gammerman, Testing exchangeability on-line (2003); Volkhonskiy et al.,
Inductive conformal martingales for change-point detection (2017), arXiv 1706.03415.

How bets become evidence of a change belongs in `detector.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


SHIFTS = (0.125, 0.25, 0.5, 1.0, 2.0)
"""Of the normal score, up and down."""
SPREADS = (0.5, 0.7, 1.4, 2.0)
HALF_LIVES = (100.0, 500.0)
"""Of memories of bins: the rows after which a p-value counts half."""
PREDICTIONS = ((50.0, None), (50.0, 0), (200.0, 0), (500.0, 1))
"""Of bins: how many rows their widths weigh, and the index of the memory beside them, if any."""

_SCORED = 2 * len(SHIFTS) + len(SPREADS)
STRATEGIES = _SCORED + len(PREDICTIONS)


@dataclass(frozen=True)
class BinCounts:
    """P-values by test and bin."""

    widths: Floats
    """[tests, bins]; a row sums to 1. Bins of width 0 do not exist."""
    counts: Floats
    """[tests, bins], of this look."""
    memory: Floats
    """[half-lives, tests, bins], of earlier looks, discounted by age."""

    def remember(self) -> Floats:
        """Return the memory for the next look."""
        import numpy as np

        halvings = self.counts.sum(axis=1, keepdims=True) / np.array(HALF_LIVES)[:, None, None]
        remembered: Floats = self.memory * 0.5**halvings + self.counts
        return remembered


def log_shares() -> Floats:
    """Return [strategies], the logarithm of the share of each: half are bins, half the others."""
    import numpy as np

    scored, binned = np.full(_SCORED, 0.5 / _SCORED), np.full(len(PREDICTIONS), 0.5)
    shares: Floats = np.log(np.concatenate([scored, binned / len(PREDICTIONS)]))
    return shares


def count_bins(p_values: Floats, widths: Floats) -> Floats:
    """Return [tests, bins], the number of p-values in each bin.

    Args:
        p_values: [rows, tests]; NaN are left out.
        widths: [tests, bins].
    """
    import numpy as np

    edges = widths.cumsum(axis=1)[:, :-1]
    above = np.stack([(p_values > edge).sum(axis=0) for edge in edges.T], axis=1)
    valid = (~np.isnan(p_values)).sum(axis=0)[:, None]
    none = np.zeros_like(valid)
    return -np.diff(np.concatenate([valid, above, none], axis=1), axis=1).astype(np.float64)


def log_bets(p_values: Floats, bins: BinCounts) -> Floats:
    """Return [tests, strategies], the logarithm by which each strategy multiplies in this look.

    Args:
        p_values: [rows, tests], between 0 and 1 exclusively; NaN are left out.
        bins: the same p-values, counted.
    """
    import numpy as np

    return np.concatenate([_normal_bets(p_values), _bin_bets(bins)], axis=1)


def _normal_bets(p_values: Floats) -> Floats:
    """Return the bets of shifts and spreads: they depend on two sums of the normal scores."""
    import numpy as np
    from scipy.special import ndtri

    scores = ndtri(p_values)
    count = (~np.isnan(scores)).sum(axis=0)[:, None]
    total = np.nansum(scores, axis=0)[:, None]
    squares = np.nansum(scores**2, axis=0)[:, None]
    shifts = np.array([sign * shift for shift in SHIFTS for sign in (1, -1)])
    spreads = np.array(SPREADS)
    by_shift = shifts * total - count * shifts**2 / 2
    by_spread = -count * np.log(spreads) - squares * (spreads**-2 - 1) / 2
    return np.concatenate([by_shift, by_spread], axis=1)


def _bin_bets(bins: BinCounts) -> Floats:
    """Return the bets of bins, one for each way to predict them."""
    import numpy as np
    from scipy.special import gammaln

    exists = bins.widths > 0
    widths = np.where(exists, bins.widths, 1.0)
    expected = (bins.counts * np.log(widths)).sum(axis=1)
    count, bets = bins.counts.sum(axis=1), []
    for weight, memory in PREDICTIONS:
        known = bins.memory[memory] if memory is not None else np.zeros_like(widths)
        prior = np.where(exists, weight * widths + known, 1.0)
        gained = (gammaln(prior + bins.counts) - gammaln(prior)).sum(axis=1)
        total = weight + known.sum(axis=1)
        bets.append(gained - gammaln(total + count) + gammaln(total) - expected)
    return np.stack(bets, axis=1)
