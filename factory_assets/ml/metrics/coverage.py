"""Coverage: how often the sets and intervals of conformal prediction contain the truth.

Computing the regions belongs in `ml.artifacts.conformal`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


SET_METRICS = ("coverage", "set_size", "abstention_rate", "selective_accuracy")

INTERVAL_METRICS = ("coverage", "interval_width")


@dataclass(frozen=True)
class CoveredRows:
    """What the regions of some rows are like. The truth of each row is known."""

    covered: NDArray[np.bool_]
    """[rows]: whether the region contains the truth."""
    sizes: NDArray[np.float64]
    """[rows]: the classes of the set, or the width of the interval in the target's unit."""
    size: Literal["set_size", "interval_width"]
    """The name of the mean size."""
    groups: NDArray[Any] | None = None
    """[rows]: the group of each row in words, "" if it is not known; None without groups."""
    abstained: NDArray[np.bool_] | None = None
    """[rows]; None if the model does not abstain."""

    def take(self, rows: NDArray[Any]) -> CoveredRows:
        """Select rows by indices or by a mask [rows]."""
        return replace(
            self,
            covered=self.covered[rows],
            sizes=self.sizes[rows],
            groups=None if self.groups is None else self.groups[rows],
            abstained=None if self.abstained is None else self.abstained[rows],
        )

    def metrics(self, right: Callable[[], NDArray[np.bool_]]) -> dict[str, float]:
        """Return the metrics that are defined; `coverage_<group>` for each group that is known.

        Args:
            right: returns [rows], whether the predicted class is the true one.
        """
        import numpy as np

        found = {"coverage": float(self.covered.mean())}
        if np.isfinite(self.sizes).all():
            found[self.size] = float(self.sizes.mean())
        if self.abstained is not None:
            found["abstention_rate"] = float(self.abstained.mean())
            if not self.abstained.all():
                found["selective_accuracy"] = float(right()[~self.abstained].mean())
        return {**found, **self._by_group()}

    def _by_group(self) -> dict[str, float]:
        import numpy as np

        if self.groups is None:
            return {}
        names, places = np.unique(self.groups.astype(str), return_inverse=True)
        rows, hits = np.bincount(places), np.bincount(places, weights=self.covered)
        shares = zip(names.tolist(), (hits / rows).tolist(), strict=True)
        return {f"coverage_{name}": share for name, share in shares if name}
