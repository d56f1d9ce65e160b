"""Fairness: rates of positive predictions by group of a protected column, and their gaps.

Two classes only. How rows are grouped by a column belongs in `ml/evaluation/test_set.py`, which
gap a gate allows in `ml/evaluation/gates.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from factory_assets.results.evaluation import Group, GroupRate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


RATES = ("selection_rate", "true_positive_rate", "false_positive_rate")
"""Share of a group predicted positive: of all rows, of the positive rows, of the negative rows."""

_Z = 1.959963984540054
"""Standard score of a 95 % interval."""

RateGroups = Mapping[str, tuple["NDArray[Any]", ...]]
"""Rate to one array [rows] per protected column: group codes, -1 if the row does not count."""


@dataclass(frozen=True)
class Grouping:
    """The groups of the evaluated rows by one protected column."""

    column: str
    names: tuple[str, ...]
    codes: NDArray[np.int64]
    """[rows]: the index of each row's group in `names`, or -1."""


def rate_groups(groupings: Sequence[Grouping], truth: NDArray[Any], min_rows: int) -> RateGroups:
    """Return the rows that count for each rate, without groups of fewer than `min_rows` of them."""
    return {
        rate: tuple(_counted_codes(one, truth, rate, min_rows) for one in groupings)
        for rate in RATES
    }


def rate_difference(predicted: NDArray[Any], groups: Sequence[NDArray[Any]]) -> float | None:
    """Return the largest rate minus the smallest within a column; of several columns the worst.

    None if no column has two groups to compare.
    """
    gaps = [max(rates) - min(rates) for rates in _column_rates(predicted, groups)]
    return max(gaps, default=None)


def rate_ratio(predicted: NDArray[Any], groups: Sequence[NDArray[Any]]) -> float | None:
    """Return the smallest rate divided by the largest within a column; of several the worst.

    1 if all rates are 0; None if no column has two groups to compare.
    """
    ratios = [min(r) / max(r) if max(r) else 1.0 for r in _column_rates(predicted, groups)]
    return min(ratios, default=None)


def group_rates(
    groupings: Sequence[Grouping], counted: RateGroups, predicted: NDArray[Any]
) -> tuple[Group, ...]:
    """Return every group with the rates for which it has enough rows."""
    return tuple(
        Group(
            column=grouping.column,
            value=name,
            rows=int((grouping.codes == code).sum()),
            rates={
                rate: _rate(predicted[counted[rate][i] == code])
                for rate in RATES
                if (counted[rate][i] == code).any()
            },
        )
        for i, grouping in enumerate(groupings)
        for code, name in enumerate(grouping.names)
    )


def wilson(hits: int, rows: int) -> tuple[float, float]:
    """Return the 95 % interval of a share.

    Source: Wilson (1927), doi 10.1080/01621459.1927.10502953.
    """
    share, spread = hits / rows, _Z**2 / rows
    middle = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * ((share * (1 - share) + spread / 4) / rows) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def _counted_codes(
    grouping: Grouping, truth: NDArray[Any], rate: str, min_rows: int
) -> NDArray[Any]:
    """Return the group code of each row, or -1 if the row or its group does not count."""
    import numpy as np

    counted = {"selection_rate": truth >= 0, "true_positive_rate": truth == 1}
    codes = np.where(counted.get(rate, truth == 0), grouping.codes, -1)
    rows = np.bincount(codes[codes >= 0], minlength=len(grouping.names))
    return np.where((codes >= 0) & (rows[codes] >= min_rows), codes, -1)


def _column_rates(predicted: NDArray[Any], groups: Sequence[NDArray[Any]]) -> list[list[float]]:
    """Return the group rates of each column that has at least two groups."""
    import numpy as np

    rates = []
    for codes in groups:
        counts = codes >= 0
        rows = np.bincount(codes[counts])
        hits = np.bincount(codes[counts], weights=predicted[counts])
        if (rows > 0).sum() > 1:
            rates.append([float(share) for share in hits[rows > 0] / rows[rows > 0]])
    return rates


def _rate(predicted: NDArray[Any]) -> GroupRate:
    hits, rows = int(predicted.sum()), len(predicted)
    low, high = wilson(hits, rows)
    return GroupRate(value=hits / rows, low=low, high=high, rows=rows)
