"""How large a change is: between the reference and the rows since the change, and in words.

An effect is between 0 and 1. Reference rows are weighted to the strata of the new rows, so that a
week of Mondays is compared with Mondays. Whether chance explains a change belongs in `detector.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Effect:
    """A change, and how large it is."""

    size: float
    """Between 0 (none) and 1."""
    words: str


@dataclass(frozen=True)
class WeightedValues:
    """Sorted values without NaN, and the share of the rows up to each."""

    values: Floats
    reached: Floats

    @classmethod
    def of(cls, values: Floats, weights: Floats) -> WeightedValues:
        """Return the values [rows] with their weights [rows], without NaN and what weighs 0."""
        import numpy as np

        present = ~np.isnan(values) & (weights > 0)
        values, weights = values[present], weights[present]
        order = np.argsort(values, kind="stable")
        reached = np.cumsum(weights[order])
        return cls(values[order], reached / reached[-1] if len(reached) else reached)

    def below(self, points: Floats, side: str = "right") -> Floats:
        """Return the share of the values up to each point; `left`: below it."""
        import numpy as np

        places = np.searchsorted(self.values, points, side)  # type: ignore[call-overload]
        shares: Floats = np.concatenate([[0.0], self.reached])[places]
        return shares

    def quantile(self, share: float) -> float:
        """Return the smallest value up to which at least this share of the values is."""
        place = int(self.reached.searchsorted(share - 1e-9))
        return float(self.values[min(place, len(self.values) - 1)])


def weights_like(reference: Ints, strata: Ints) -> tuple[Floats, Floats]:
    """Return weights of the reference's rows and of new rows, by their strata [rows].

    Of each stratum the reference's rows together weigh what its new rows do. New rows of a stratum
    without a reference weigh nothing, unless all are such.
    """
    import numpy as np

    codes, places = np.unique(np.concatenate([reference, strata]), return_inverse=True)
    before = np.bincount(places[: len(reference)], minlength=len(codes))
    now = np.bincount(places[len(reference) :], minlength=len(codes))
    comparable = (before > 0) & (now > 0)
    if not comparable.any():
        return np.ones(len(reference)), np.ones(len(strata))
    factor = np.where(comparable, now / np.maximum(before, 1), 0.0)
    return factor[places[: len(reference)]], comparable[places[len(reference) :]].astype(np.float64)


def number_effect(before: WeightedValues, now: WeightedValues) -> Effect:
    """Return the largest difference of the distribution functions (Kolmogorov-Smirnov)."""
    import numpy as np

    if not len(before.values) or not len(now.values):
        return Effect(0.0, "no values to compare")
    points = np.concatenate([before.values, now.values])
    old, new = before.below(points), now.below(points)
    place = int(abs(new - old).argmax())
    size, median = float(abs(new[place] - old[place])), before.quantile(0.5)
    # The median says most, unless the change is elsewhere.
    if abs(now.below(np.array([median]))[0] - before.below(np.array([median]))[0]) >= size / 2:
        return Effect(size, f"median {median:.6g} → {now.quantile(0.5):.6g}")
    words = f"{old[place]:.1%} → {new[place]:.1%} of the values up to {points[place]:.6g}"
    return Effect(size, words)


def category_effect(before: Floats, now: Floats, names: Sequence[str]) -> Effect:
    """Return the total variation distance of the shares [codes]; code 0 is of all other names."""
    if not before.sum() or not now.sum():
        return Effect(0.0, "no values to compare")
    old, new = before / before.sum(), now / now.sum()
    code = int(abs(new - old).argmax())
    name = repr(names[code - 1][:40]) if code else "other values"
    words = f"{name} {old[code]:.1%} → {new[code]:.1%} of the values"
    return Effect(float(abs(new - old).sum() / 2), words)


def missing_effect(before: float, now: float) -> Effect:
    """Return the difference of the shares of missing values."""
    return Effect(abs(now - before), f"missing {before:.1%} → {now:.1%}")


def joint_effect(before: WeightedValues, now: WeightedValues, words: str) -> Effect:
    """Return |2 AUC - 1| of the scores of reference rows and new rows, all of them for testing."""
    if not len(before.values) or not len(now.values):
        return Effect(0.0, words)
    import numpy as np

    ranks = (before.below(now.values) + before.below(now.values, "left")) / 2
    weights = np.diff(now.reached, prepend=0.0)
    return Effect(float(abs(2 * (ranks * weights).sum() - 1)), words)
