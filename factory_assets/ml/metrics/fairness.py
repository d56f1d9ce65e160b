"""How decisions fall on the groups of a protected column: rates with intervals, and their gaps.

Two classes only: a decision is the positive one or not. Groups are numbers here; their names are in
`judged.py`, and which gap a gate allows is in `gates.py`.
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
"""The share of a group's rows that is decided positive: of all, of the true, of the untrue ones."""

_Z = 1.959963984540054
"""Of a 95 % interval."""

Members = Mapping[str, tuple["NDArray[Any]", ...]]
"""Rate to the group of each row, one array a protected column; -1 where the row does not count."""


@dataclass(frozen=True)
class Grouping:
    """The groups of the judged rows by one protected column."""

    column: str
    names: tuple[str, ...]
    codes: NDArray[np.int64]
    """[rows]: the place of each row's group in `names`, or -1."""


def members(groupings: Sequence[Grouping], truth: NDArray[Any], fewest: int) -> Members:
    """The rows of each rate, without the groups that have fewer than `fewest` of them."""
    return {rate: tuple(_counted(one, truth, rate, fewest) for one in groupings) for rate in RATES}


def difference(predicted: NDArray[Any], groups: Sequence[NDArray[Any]]) -> float | None:
    """The largest of one column's rates less the smallest; of several columns, the worst.

    None where no column has two groups to compare.
    """
    found = [max(rates) - min(rates) for rates in _compared(predicted, groups)]
    return max(found, default=None)


def ratio(predicted: NDArray[Any], groups: Sequence[NDArray[Any]]) -> float | None:
    """The smallest of one column's rates by the largest; 1 where nobody is selected."""
    found = [min(r) / max(r) if max(r) else 1.0 for r in _compared(predicted, groups)]
    return min(found, default=None)


def group_rates(
    groupings: Sequence[Grouping], counted: Members, predicted: NDArray[Any]
) -> tuple[Group, ...]:
    """Every group, with those of its rates for which it has rows enough."""
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
    """The 95 % interval of a share. Source: Wilson (1927), doi 10.1080/01621459.1927.10502953."""
    share, spread = hits / rows, _Z**2 / rows
    middle = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * ((share * (1 - share) + spread / 4) / rows) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def _counted(grouping: Grouping, truth: NDArray[Any], rate: str, fewest: int) -> NDArray[Any]:
    import numpy as np

    wanted = {"selection_rate": truth >= 0, "true_positive_rate": truth == 1}
    codes = np.where(wanted.get(rate, truth == 0), grouping.codes, -1)
    rows = np.bincount(codes[codes >= 0], minlength=len(grouping.names))
    return np.where((codes >= 0) & (rows[codes] >= fewest), codes, -1)


def _compared(predicted: NDArray[Any], groups: Sequence[NDArray[Any]]) -> list[list[float]]:
    """The rates of each column that has two groups or more."""
    import numpy as np

    found = []
    for codes in groups:
        counts = codes >= 0
        rows = np.bincount(codes[counts])
        hits = np.bincount(codes[counts], weights=predicted[counts])
        if (rows > 0).sum() > 1:
            found.append([float(share) for share in hits[rows > 0] / rows[rows > 0]])
    return found


def _rate(predicted: NDArray[Any]) -> GroupRate:
    hits, rows = int(predicted.sum()), len(predicted)
    low, high = wilson(hits, rows)
    return GroupRate(value=hits / rows, low=low, high=high, rows=rows)
