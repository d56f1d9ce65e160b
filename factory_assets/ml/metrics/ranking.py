"""Ranking metrics of resampled rows of two classes, from one order of the rows by score.

The metrics of the rows themselves belong in `metrics.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Ranking:
    """Rows in descending order of their scores; a resample is the count of each of them.

    All resamples share the order, so that their metrics are sums over it: a tenth of the work of
    scoring each resample on its own, and the same numbers.
    """

    def __init__(self, positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> None:
        """
        Args:
            positive: whether each row is of the positive class, [rows].
            scores: [rows], in descending order.
        """
        import numpy as np

        self._positive = positive
        # Rows with equal scores rank equally.
        self._last = np.flatnonzero(np.diff(scores, append=-np.inf))

    def metrics(self, counts: NDArray[np.int64], only: Collection[str]) -> dict[str, float]:
        """Return the metrics in `only` of a resample; none if it has only one class.

        Args:
            counts: how often the resample has each row, [rows].
            only: names in `RANKING_METRICS`.
        """
        import numpy as np

        ranked = np.cumsum(counts)[self._last]
        true = np.cumsum(counts * self._positive)[self._last]
        if not 0 < true[-1] < ranked[-1]:
            return {}
        return {name: float(RANKING_METRICS[name](true, ranked)) for name in only}


def _average_precision(true: NDArray[np.int64], ranked: NDArray[np.int64]) -> Any:
    import numpy as np

    # A resample may lack the first rows, and no row was found among none.
    precision = true / np.maximum(ranked, 1)
    return np.diff(true, prepend=0) @ precision / true[-1]


def _roc_auc(true: NDArray[np.int64], ranked: NDArray[np.int64]) -> Any:
    import numpy as np

    false = ranked - true
    heights = true - np.diff(true, prepend=0) / 2
    return np.diff(false, prepend=0) @ heights / (true[-1] * false[-1])


RANKING_METRICS: Mapping[str, Callable[[NDArray[Any], NDArray[Any]], Any]] = MappingProxyType(
    {"average_precision": _average_precision, "roc_auc": _roc_auc}
)
"""Metrics of the numbers of positive rows, and of all rows, down to each score, [scores]."""
