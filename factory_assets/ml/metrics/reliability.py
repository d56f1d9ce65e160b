"""Reliability of probabilities: bins of equal width and the expected calibration error (ECE).

Correcting probabilities belongs in `ml/artifacts/calibration.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


BINS = 10


@dataclass(frozen=True)
class ProbabilityBins:
    """Rows binned by their predicted probability."""

    counts: NDArray[np.int64]
    """[bins]: the rows of each bin."""
    given: NDArray[np.float64]
    """The mean predicted probability of each bin that has rows."""
    true: NDArray[np.float64]
    """The share of rows of the predicted class in each bin that has rows."""

    @property
    def error(self) -> float:
        """The expected calibration error: mean of |given - true|, weighted by rows."""
        weights = self.counts[self.counts > 0] / self.counts.sum()
        return float((weights * abs(self.given - self.true)).sum())


def bin_by_probability(probabilities: NDArray[Any], occurred: NDArray[Any]) -> ProbabilityBins:
    """Bin rows into ten bins of equal width from 0 to 1; a bin includes its lower edge.

    Source: Guo et al., On calibration of modern neural networks (2017), arXiv 1706.04599.

    Args:
        probabilities: [rows], of the positive class or, for several classes, the most likely one.
        occurred: [rows], whether the row is of that class.
    """
    import numpy as np

    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    filled = counts > 0
    given, true = (
        np.bincount(bins, weights=values, minlength=BINS)[filled] / counts[filled]
        for values in (probabilities, occurred)
    )
    return ProbabilityBins(counts, given, true)
