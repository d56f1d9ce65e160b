"""Whether probabilities mean what they say: bins of equal width, and their mean distance (ECE)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


BINS = 10


@dataclass(frozen=True)
class Binned:
    """The rows by the probability that was given to them."""

    counts: NDArray[np.int64]
    """[bins]"""
    given: NDArray[np.float64]
    """The mean probability of each bin that has rows."""
    true: NDArray[np.float64]
    """How often it came true there."""

    @property
    def error(self) -> float:
        """The mean distance of the two, each bin by its rows."""
        weights = self.counts[self.counts > 0] / self.counts.sum()
        return float((weights * abs(self.given - self.true)).sum())


def binned(chances: NDArray[Any], came_true: NDArray[Any]) -> Binned:
    """Ten bins of equal width, from 0 to 1; a bin holds its lower edge.

    Source: Guo et al., On calibration of modern neural networks (2017), arXiv 1706.04599.

    Args:
        chances: [rows], the probability of the positive class, or of the likeliest one.
        came_true: [rows], whether it was that class.
    """
    import numpy as np

    bins = np.minimum((chances * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    filled = counts > 0
    given, true = (
        np.bincount(bins, weights=values, minlength=BINS)[filled] / counts[filled]
        for values in (chances, came_true)
    )
    return Binned(counts, given, true)
