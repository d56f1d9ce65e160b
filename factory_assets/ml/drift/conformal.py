"""Conformal p-values: the rank of each new value among all values so far, ties broken at random.

If the order of the rows carries no information, these p-values are independent and uniform,
exactly, whatever the distribution. They need the bag of values to grow with every row: against a
fixed sample, its sampling error would become an alarm after many rows.

They are independent of each other, not of what is in the bag: whoever bets must not look into it.

A full bag is thinned: the values that leave are drawn uniformly from those of the bag *and* of the
look. Which value leaves then says nothing about where the newest ones are, so the p-values stay
exact; dropping the oldest or always an old one would break this.

Source: Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World (2005), chapters 2 and 4.4
(Mondrian: ranks within a stratum), doi 10.1007/b106715.

Bets against the p-values belong in `betting.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]


CHUNK = 256
"""Rows compared with each other at once; their comparisons are a square."""


@dataclass(frozen=True)
class SortedBag:
    """Numbers seen so far, sorted, by stratum."""

    strata: Mapping[int, Floats]

    def extend(self, values: Floats, strata: Ints, draws: Floats) -> tuple[Floats, SortedBag]:
        """Return the p-value of each row, and the bag that has the rows too.

        Args:
            values: [rows]; a NaN gets the p-value NaN and does not enter the bag.
            strata: [rows], the stratum of each row.
            draws: [rows], uniform on (0, 1), to break ties.
        """
        import numpy as np

        p_values, bags = np.full(len(values), np.nan), dict(self.strata)
        for stratum, rows in rows_by_stratum(strata, ~np.isnan(values)).items():
            bag = bags.get(stratum, np.empty(0))
            p_values[rows], bags[stratum] = _grow(bag, values[rows], draws[rows])
        return p_values, SortedBag(bags)

    def thin(self, capacity: int, generator: np.random.Generator) -> SortedBag:
        """Return a bag of at most `capacity` values, drawn uniformly."""
        import numpy as np

        sizes = [len(values) for values in self.strata.values()]
        if (excess := sum(sizes) - capacity) <= 0:
            return self
        leave = generator.multivariate_hypergeometric(sizes, excess) if sizes[1:] else [excess]
        kept = {}
        for (stratum, values), count in zip(self.strata.items(), leave, strict=True):
            if count < len(values):
                dropped = generator.choice(len(values), count, replace=False, shuffle=False)
                kept[stratum] = np.delete(values, dropped)
        return SortedBag(kept)


@dataclass(frozen=True)
class CountBag:
    """How often each code was seen so far: the bags of columns of few values, side by side."""

    codes: int
    """Valid codes are 0 to `codes` - 1, the same for all columns of the bag."""
    strata: Mapping[int, Ints]
    """[columns, codes] of each stratum."""

    @classmethod
    def of(cls, codes: int, values: Ints, strata: Ints) -> CountBag:
        """Return the bag of these codes [rows, columns]."""
        import numpy as np

        counts = {}
        for stratum, rows in rows_by_stratum(strata, np.ones(len(strata), bool)).items():
            parts = [np.bincount(column[rows], minlength=codes) for column in values.T]
            counts[stratum] = np.stack(parts)
        return cls(codes, counts)

    def extend(self, values: Ints, strata: Ints, draws: Floats) -> tuple[Floats, CountBag]:
        """Return the p-value of each code, and the bag that has the codes too.

        Args:
            values: [rows, columns].
            strata: [rows], the stratum of each row.
            draws: [rows, columns], uniform on (0, 1), to break ties.
        """
        import numpy as np

        p_values, bags = np.full(values.shape, np.nan), dict(self.strata)
        for stratum, rows in rows_by_stratum(strata, np.ones(len(strata), bool)).items():
            bag = bags.get(stratum, np.zeros((values.shape[1], self.codes), np.int64))
            p_values[rows], bags[stratum] = _count(bag, values[rows], draws[rows])
        return p_values, CountBag(self.codes, bags)

    def thin(self, capacity: int, generator: np.random.Generator) -> CountBag:
        """Return a bag of at most `capacity` codes of each column, drawn uniformly."""
        import numpy as np

        if not self.strata:
            return self
        counts = np.stack(list(self.strata.values()), axis=1)
        kept = [
            generator.multivariate_hypergeometric(column.ravel(), capacity, method="marginals")
            if column.sum() > capacity
            else column.ravel()
            for column in counts
        ]
        parts = np.moveaxis(np.reshape(kept, counts.shape), 1, 0)
        filled = {s: part for s, part in zip(self.strata, parts, strict=True) if part.any()}
        return CountBag(self.codes, filled)


def rows_by_stratum(strata: Ints, chosen: Bools) -> dict[int, Ints]:
    """Return the indices of the chosen rows of each stratum, in their order."""
    import numpy as np

    rows = np.flatnonzero(chosen)
    codes = strata[rows]
    if len(rows) and (codes == codes[0]).all():
        return {int(codes[0]): rows}
    order = np.argsort(codes, kind="stable")
    distinct, starts = np.unique(codes[order], return_index=True)
    parts = np.split(rows[order], starts[1:])
    return dict(zip(distinct.tolist(), parts, strict=False))


def smoothed(less: Ints, equal: Ints, total: Ints, draws: Floats) -> Floats:
    """Return the p-values of values among `total` others, `less` of them smaller, `equal` equal."""
    import numpy as np

    p_values = (less + draws * (equal + 1)) / (total + 1)
    # 0 and 1 have no finite normal score, and rounding can reach them.
    return np.clip(p_values, 2.0**-54, 1 - 2.0**-53)


def _grow(bag: Floats, values: Floats, draws: Floats) -> tuple[Floats, Floats]:
    """Rank each value within the sorted bag and the values before it; return the larger bag too."""
    import numpy as np

    p_values = np.empty(len(values))
    for start in range(0, len(values), CHUNK):
        chunk = values[start : start + CHUNK]
        places = np.arange(len(chunk))
        before = places < places[:, None]
        less = np.count_nonzero((chunk < chunk[:, None]) & before, axis=1)
        equal = np.count_nonzero((chunk == chunk[:, None]) & before, axis=1)
        left = bag.searchsorted(chunk, "left")
        equal += bag.searchsorted(chunk, "right") - left
        p_values[start : start + CHUNK] = smoothed(
            less + left, equal, len(bag) + places, draws[start : start + CHUNK]
        )
        bag = np.concatenate([bag, np.sort(chunk)])
        # Two sorted runs: a stable sort merges them.
        bag.sort(kind="stable")
    return p_values, bag


def _count(bag: Ints, codes: Ints, draws: Floats) -> tuple[Floats, Ints]:
    """Rank each code [rows, columns] within the bag [columns, codes] and the codes before it.

    Return the new counts too.
    """
    import numpy as np

    rows, columns = np.arange(len(codes))[:, None], np.arange(len(bag))
    seen = np.zeros((len(codes) + 1, *bag.shape), np.int64)
    seen[rows + 1, columns, codes] = 1
    seen[0] = bag
    np.cumsum(seen, axis=0, out=seen)
    up_to = np.cumsum(seen[:-1], axis=2)
    equal = seen[rows, columns, codes]
    less = up_to[rows, columns, codes] - equal
    return smoothed(less, equal, up_to[:, :, -1], draws), seen[-1]
