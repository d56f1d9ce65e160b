"""Rows of a look or of the reference, with their strata and what they are for.

Reading them from a table belongs in `columns.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_resources.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class RowSample:
    """Rows and what is known of each."""

    values: NDArray[np.float64]
    """[rows, columns]; categories are codes, NaN is missing."""
    strata: NDArray[np.int64]
    """[rows]."""
    testing: NDArray[np.bool_]
    """[rows], whether the row is for testing; the others are for learning."""
    looks: NDArray[np.int64]
    """[rows], the number of the look that brought the row; 0 is the reference."""

    def __len__(self) -> int:
        return len(self.values)

    def take(self, chosen: NDArray[np.bool_] | slice) -> RowSample:
        """Return the chosen rows."""
        return RowSample(
            self.values[chosen], self.strata[chosen], self.testing[chosen], self.looks[chosen]
        )

    def newest(self, other: RowSample, count: int) -> RowSample:
        """Return the last `count` of these rows and those of the other."""
        import numpy as np

        kept = self.take(slice(max(0, len(self) + len(other) - count), None))
        last = other.take(slice(max(0, len(other) - count), None))
        return RowSample(
            np.concatenate([kept.values, last.values]),
            np.concatenate([kept.strata, last.strata]),
            np.concatenate([kept.testing, last.testing]),
            np.concatenate([kept.looks, last.looks]),
        )


def read_strata(strata: NDArray[np.integer] | None, rows: int) -> NDArray[np.int64]:
    """Return the stratum of each row, [rows]; 0 for all if there are none.

    Raises:
        DataError: they are not one integer for each row.
    """
    import numpy as np

    if strata is None:
        return np.zeros(rows, np.int64)
    if strata.shape != (rows,) or not np.issubdtype(strata.dtype, np.integer):
        raise DataError(
            f"there are strata of shape {strata.shape} and type {strata.dtype} for {rows} rows",
            remedy="give one integer for each row",
        )
    return strata.astype(np.int64)
