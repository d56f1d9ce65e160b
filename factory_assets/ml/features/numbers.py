"""A number as an input: how it is scaled, and what stands for a missing one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from factory_assets.results.base import StageResult

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Number(StageResult):
    """A numeric input: `(value - mean) / sd`, missing values replaced by the median before."""

    name: str
    median: float
    mean: float
    sd: float
    """1 if the computed sd is not above the spacing of float32 at the mean; never 0."""
    indicator: bool
    """Whether values were missing in training; then being missing is an additional input."""

    def count_beyond(self, values: NDArray[np.float32]) -> int:
        """Return how many values are infinite in float32 once they are scaled."""
        import numpy as np

        unit, largest = min(self.sd, 1.0), float(np.finfo(np.float32).max)
        if not len(values):
            return 0
        # Mostly none is: the extremes tell it without copies of a large column.
        low, high = float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
        if max(high - self.mean, self.mean - low) / unit <= largest:
            return 0
        return int((np.abs(values.astype(np.float64) - self.mean) / unit > largest).sum())


def fit_number(name: str, values: NDArray[np.float32]) -> Number | None:
    """Fit a numeric input; return None if every value is missing.

    Args:
        values: [rows], NaN if missing; changed.
    """
    import numpy as np

    absent = np.isnan(values)
    missing = bool(absent.any())
    present = values[~absent] if missing else values
    if not len(present):
        return None
    median = np.float32(_median(present))
    if missing:
        values[absent] = median
    mean, sd = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    step = float(np.spacing(np.float32(abs(mean))))
    return Number(
        name=name,
        median=float(median),
        mean=mean,
        sd=sd if sd > step else 1.0,
        indicator=missing,
    )


def _median(values: NDArray[np.float32]) -> float:
    """Return the median in float64.

    `numpy.median` also searches for NaN and averages the middle two values in their own dtype.
    """
    import numpy as np

    upper = len(values) // 2
    lower = (len(values) - 1) // 2
    parted = np.partition(values, (lower, upper))
    return (float(parted[lower]) + float(parted[upper])) / 2
