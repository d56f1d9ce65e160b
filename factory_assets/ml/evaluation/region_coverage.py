"""Compute the sets or intervals of test rows, and whether they contain the truth.

How they are fitted belongs in `ml.artifacts.conformal`, the metrics of them in
`ml.metrics.coverage`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from factory_assets.ml.artifacts.conformal import region_intervals, region_sets, undecided
from factory_assets.ml.features.columns import read_words
from factory_assets.ml.metrics.coverage import CoveredRows
from factory_assets.results.uncertainty import RegionBounds

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


def cover_rows(
    bounds: RegionBounds, rows: pa.Table, truth: NDArray[Any], outputs: NDArray[Any]
) -> CoveredRows:
    """Return what the regions of the rows are like.

    Args:
        rows: of the clean table.
        truth: [rows], class codes or numbers.
        outputs: [rows, classes] or [rows], of the model that the bounds are of.
    """
    import numpy as np

    groups = read_words(rows, bounds.column) if bounds.column else None
    if outputs.ndim == 1:
        low, high = region_intervals(bounds, outputs, groups).T
        return CoveredRows((low <= truth) & (truth <= high), high - low, "interval_width", groups)
    sets = region_sets(bounds, outputs, groups)
    if bounds.per_class:
        groups = np.array([one.group for one in bounds.groups], dtype=object)[truth]
    return CoveredRows(
        covered=sets[np.arange(len(truth)), truth],
        sizes=sets.sum(axis=1).astype(np.float64),
        size="set_size",
        groups=groups,
        abstained=undecided(sets) if bounds.abstain else None,
    )
