"""What one look hands to the next, and how it begins. A look itself belongs in `look.py`.

Nothing grows with the number of looks: bags are thinned, samples are bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_assets.ml.drift.columns import (
    MAX_CATEGORIES,
    Categories,
    WatchedColumn,
    learn_categories,
    read_rows,
    take_rows,
)
from factory_assets.ml.drift.conformal import CountBag, SortedBag, rows_by_stratum
from factory_assets.ml.drift.detector import Detector
from factory_assets.ml.drift.joint_test import JointTest
from factory_assets.ml.drift.rows import RowSample, read_strata
from factory_resources.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


CAPACITY = 10_000
"""Values of a bag, and rows of the reference that are used."""
COMPARED = 5_000
"""Rows of the reference that effects are measured against."""
MIN_REFERENCE = 20
NUMBER_BINS = 10

SHARES = {"input": 0.4, "output": 0.2, "missing": 0.2, "joint": 0.2}
"""Shares of the false alarms: of the values of inputs and outputs, of missing values, of the joint
distribution. What a set of columns has no use for goes to the others."""


@dataclass(frozen=True)
class DriftState:
    """All that looks have left; a look makes a new one. `storage.py` saves and loads it."""

    columns: tuple[WatchedColumn, ...]
    """By name, so that the order in which they are declared changes nothing."""
    categories: tuple[Categories, ...]
    seed: int
    seasonal: bool
    """Whether rows have strata."""
    looks: int
    """How many there were since the reference."""
    reference: RowSample
    recent: RowSample
    """The newest rows."""
    values: tuple[SortedBag | CountBag, ...]
    """The bag of each column."""
    missing: CountBag
    """Of all columns: code 1 is missing."""
    widths: Floats
    """[tests, bins], the bins of p-values that are bet on: decided by learning rows alone."""
    detector: Detector
    joint: JointTest | None

    @property
    def tests(self) -> int:
        """Values of each column, missing values of each column, and the joint test if there is."""
        return 2 * len(self.columns) + (self.joint is not None)

    def weights(self) -> Floats:
        """Return [tests], the share of the false alarms of each test."""
        import numpy as np

        roles = [column.role for column in self.columns]
        tests = [*roles, *["missing"] * len(roles), *["joint"] * (self.joint is not None)]
        weights = np.array([SHARES[test] / tests.count(test) for test in tests])
        shares: Floats = weights / weights.sum()
        return shares


def begin(
    reference: pa.Table,
    columns: Sequence[WatchedColumn],
    *,
    seed: int,
    strata: NDArray[np.integer] | None = None,
) -> DriftState:
    """Return the state before the first look.

    After an alarm, call it again with what is now accepted: with the new rows alone, or beside the
    training rows.

    Args:
        reference: the rows that answers may be like. More than 10,000 are sampled.
        columns: those to watch, at least one.
        seed: of all random draws; not negative.
        strata: [rows], the season of each row, such as its hour of the day or weekday. Rows are
            compared with earlier ones of the same season only.

    Raises:
        DataError: there are fewer than 20 rows, a column is missing or of another kind, or strata
            do not fit.
    """
    import numpy as np

    generator = np.random.default_rng([seed, 0])
    watched = tuple(sorted(columns, key=lambda column: column.name))
    if not watched or reference.num_rows < MIN_REFERENCE:
        raise DataError(
            f"there are {reference.num_rows} rows and {len(watched)} columns to compare with",
            remedy=f"give at least {MIN_REFERENCE} rows and a column",
        )
    codes = read_strata(strata, reference.num_rows)
    chosen = generator.permutation(reference.num_rows)[:CAPACITY]
    reference, codes = take_rows(reference, watched, chosen), codes[chosen]
    # The permutation makes this a random third for learning.
    testing = np.arange(len(chosen)) % 3 > 0
    categories = learn_categories(reference.filter(~testing), watched)
    values = read_rows(reference, watched, categories)
    rows = RowSample(values, codes, testing, np.zeros(len(codes), np.int64))
    joint = JointTest.begin(rows, watched)
    absent = np.isnan(values).astype(np.int64)
    return DriftState(
        columns=watched,
        categories=categories,
        seed=seed,
        seasonal=strata is not None,
        looks=0,
        reference=rows.take(slice(COMPARED)),
        recent=rows.take(slice(0)),
        values=tuple(_bag(rows, i, column, categories[i]) for i, column in enumerate(watched)),
        missing=CountBag.of(2, absent[testing], codes[testing]),
        widths=_widths(values[~testing], watched, categories, joint is not None),
        detector=Detector.fresh(2 * len(watched) + (joint is not None), MAX_CATEGORIES + 1),
        joint=joint,
    )


def _bag(
    rows: RowSample, index: int, column: WatchedColumn, categories: Categories
) -> SortedBag | CountBag:
    import numpy as np

    values = rows.values[:, index]
    if column.kind == "number":
        parts = rows_by_stratum(rows.strata, ~np.isnan(values))
        return SortedBag({stratum: np.sort(values[chosen]) for stratum, chosen in parts.items()})
    # The learning rows decided the order of the categories: among them, a new row would be a
    # stranger.
    chosen = rows.testing & ~np.isnan(values)
    codes = values[chosen].astype(np.int64)[:, None]
    return CountBag.of(len(categories) + 1, codes, rows.strata[chosen])


def _widths(
    learning: Floats,
    columns: Sequence[WatchedColumn],
    categories: Sequence[Categories],
    joint: bool,
) -> Floats:
    """Return [tests, bins]: for columns of few values, bins about as wide as their shares."""
    import numpy as np

    even = np.full(NUMBER_BINS, 1 / NUMBER_BINS)
    rows = []
    for column, names, values in zip(columns, categories, learning.T, strict=True):
        if column.kind == "number":
            rows.append(even)
            continue
        codes = values[~np.isnan(values)].astype(np.int64)
        rows.append(_shares(codes, len(names) + 1))
    rows += [_shares(absent.astype(np.int64), 2) for absent in np.isnan(learning).T]
    rows += [even] * joint
    widths = np.zeros((len(rows), MAX_CATEGORIES + 1))
    for row, own in zip(widths, rows, strict=True):
        row[: len(own)] = own
    return widths


def _shares(codes: Ints, count: int) -> Floats:
    """Return [count], all above 0: an unseen code counts half a value."""
    import numpy as np

    total = np.bincount(codes, minlength=count) + 0.5
    shares: Floats = total / total.sum()
    return shares
