"""Evidence about the mean of bounded numbers that stays valid however often it is looked at.

Sequences of bets whose wealth cannot grow, on average, while a hypothesis is true. Which numbers
are compared, and what follows from it, belongs in `sequential.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import exp, log
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


SHARES = tuple(0.95 / 1.5**step for step in range(16))
"""The share of its largest possible bet that each bettor stakes on every number."""

ROWS_AT_ONCE = 10_000

TUNED_FOR = 0.05
"""The interval is narrowest for this error probability, and valid for every other one."""

MOST_INTERVAL_BET = 0.5


@dataclass(frozen=True)
class MeanEvidence:
    """What a sequence of numbers from -1 to 1 says about its mean, relative to a boundary.

    Each bettor stakes a constant share; their average wealth is an e-process, so the probability
    that it ever reaches 1 / alpha under its hypothesis is at most alpha. The numbers need not be
    independent: it is enough that each has, given the earlier ones, a mean on that side of the
    boundary.

    Sources: Waudby-Smith and Ramdas (2023), doi 10.1093/jrsssb/qkad009; Ville (1939).
    """

    boundary: float
    """Between -1 and 1, both excluded."""
    rows: int = 0
    total: float = 0.0
    squares: float = 0.0
    """Sums of the numbers rescaled to 0 … 1, and of their squares."""
    above: tuple[float, ...] = (0.0,) * len(SHARES)
    """Logarithm of the wealth of each bettor against: the mean is at most the boundary."""
    below: tuple[float, ...] = (0.0,) * len(SHARES)
    """Logarithm of the wealth of each bettor against: the mean is at least the boundary."""
    bets: float = 0.0
    weighted: float = 0.0
    penalty: float = 0.0
    """Sums behind the interval: of bets, of bets times numbers, and of the price of each bet."""

    def update(self, numbers: NDArray[np.float64]) -> MeanEvidence:
        """Return the evidence after further numbers from -1 to 1, [rows], in order."""
        evidence = self
        starts = [*range(0, len(numbers), ROWS_AT_ONCE), len(numbers)]
        for start, end in pairwise(starts):
            evidence = evidence._updated(numbers[start:end])
        return evidence

    def log_above(self) -> float:
        """Return the logarithm of the e-value against: the mean is at most the boundary."""
        return _log_mean_exp(self.above)

    def log_below(self) -> float:
        """Return the logarithm of the e-value against: the mean is at least the boundary."""
        return _log_mean_exp(self.below)

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return bounds that contain the mean at all times at once with probability 1 - alpha.

        Only if the mean is the same at all times; (-1, 1) before the first number.
        """
        if not self.bets:
            return -1.0, 1.0
        centre = self.weighted / self.bets
        half = (log(2 / alpha) + self.penalty) / self.bets
        return 2 * max(0.0, centre - half) - 1, 2 * min(1.0, centre + half) - 1

    def _updated(self, numbers: NDArray[np.float64]) -> MeanEvidence:
        import numpy as np

        edge = numbers - self.boundary
        unit = (numbers + 1) / 2
        # Chosen before these numbers are seen, as a fair bet must be.
        mean = (0.5 + self.total) / (self.rows + 1)
        spread = self.squares - 2 * mean * self.total + self.rows * mean**2
        variance = (0.25 + max(0.0, spread)) / (self.rows + 1)
        at = self.rows + 1 + np.arange(len(numbers))
        bets = np.sqrt(2 * log(2 / TUNED_FOR) / (variance * at * np.log1p(at)))
        bets = np.minimum(bets, MOST_INTERVAL_BET)
        return replace(
            self,
            rows=self.rows + len(numbers),
            total=self.total + float(unit.sum()),
            squares=self.squares + float((unit**2).sum()),
            above=_grown(self.above, edge / (1 + self.boundary)),
            below=_grown(self.below, -edge / (1 - self.boundary)),
            bets=self.bets + float(bets.sum()),
            weighted=self.weighted + float(bets @ unit),
            penalty=self.penalty + float((-np.log1p(-bets) - bets) @ (unit - mean) ** 2),
        )


def _grown(wealth: tuple[float, ...], gains: NDArray[Any]) -> tuple[float, ...]:
    """Return the logarithms of wealth after bets that pay `gains`, at least -1, per stake."""
    import numpy as np

    grown = np.log1p(np.multiply.outer(SHARES, gains)).sum(axis=1)
    return tuple((np.array(wealth) + grown).tolist())


def _log_mean_exp(logs: tuple[float, ...]) -> float:
    top = max(logs)
    return top + log(sum(exp(one - top) for one in logs) / len(logs))
