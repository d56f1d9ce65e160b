"""Shiryaev-Roberts detectors: evidence in days, with one declared rate of false alarms.

A detector stakes 1 a day on each strategy of each test that has p-values, and lets it all run:

    R = (R + days) * bet

If nothing changes, a bet has the expectation 1 whatever was before, so the expectation of R after
T days is at most T. After a change, one of the strategies multiplies its R with every look. What
it staked long ago, it has lost in most cases; the stakes around the change grow, so the moment of
the change need not be known.

A test watches one thing (values or missing values of a column, the joint distribution); its R is
a mean over its strategies. These all bet on the same p-values, which are independent of those
before, so R less its stakes is a martingale, and R reaches c within T days with a probability of
at most T / c (Doob). Its evidence is w R, with weights w of all tests that sum to 1; an alarm of a
period is an evidence of at least that period. Over all tests together the probability of an alarm
within T days is at most T / period: a sum of w T / period over the tests. This union bound needs
nothing of how columns depend on each other. The sum of all evidence would be larger by a factor
that no alarm depends on, and is only known to be fair in expectation: given the past of all
columns at once, p-values of one column need not be uniform.

Sources: Shiryaev, On optimum methods in quickest detection problems (1963); Shin, Ramdas, Rinaldo,
E-detectors (2022), arXiv 2203.03532; Vovk et al., Retrain or not retrain: conformal test
martingales for change-point detection (2021), arXiv 2102.10439.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_assets.ml.drift.betting import (
    HALF_LIVES,
    STRATEGIES,
    BinCounts,
    count_bins,
    log_bets,
    log_shares,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Detector:
    """What the bets of all tests have become."""

    log_r: Floats
    """[tests, strategies], the logarithm of R."""
    log_run: Floats
    """[tests, strategies], the logarithm of all bets since the change, if there was one (CUSUM)."""
    began: Ints
    """[tests, strategies], the look with which these bets begin."""
    memory: Floats
    """[half-lives, tests, bins], the bins of recent p-values."""

    @classmethod
    def fresh(cls, tests: int, bins: int) -> Detector:
        """Return detectors that have staked nothing yet."""
        import numpy as np

        return cls(
            np.full((tests, STRATEGIES), -np.inf),
            np.zeros((tests, STRATEGIES)),
            np.zeros((tests, STRATEGIES), np.int64),
            np.zeros((len(HALF_LIVES), tests, bins)),
        )

    def update(self, p_values: Floats, widths: Floats, *, days: float, look: int) -> Detector:
        """Bet on the p-values of one look.

        Args:
            p_values: [rows, tests]; NaN where a test has no p-value for the row.
            widths: [tests, bins], of the bins of p-values; nothing that is ranked may decide them.
            days: since the last look.
            look: its number.
        """
        import numpy as np

        bins = BinCounts(widths, count_bins(p_values, widths), self.memory)
        bet = bins.counts.any(axis=1, keepdims=True)
        stake = np.where(bet, np.log(days) if days else -np.inf, -np.inf)
        bets = log_bets(p_values, bins)
        return Detector(
            np.logaddexp(self.log_r, stake) + bets,
            np.maximum(self.log_run, 0.0) + bets,
            np.where(self.log_run <= 0, look, self.began),
            bins.remember(),
        )

    def evidence(self, weights: Floats) -> Floats:
        """Return [tests], the weighted mean of R over the strategies, in days; at most 1e300.

        Args:
            weights: [tests], with a sum of 1.
        """
        import numpy as np
        from scipy.special import logsumexp

        logs = logsumexp(self.log_r + log_shares(), axis=1) + np.log(weights)
        evidence: Floats = np.exp(np.minimum(logs, np.log(1e300)))
        return evidence

    def change(self, test: int) -> int:
        """Return the look with which a change most likely began, by the best strategy."""
        best = (self.log_r[test] + log_shares()).argmax()
        return int(self.began[test, best])
