"""Coverage by group: how often the sets or intervals of each group's rows contain the truth.

Both are counted from one fit: with a bound of each group's own (`train.uncertainty.by`), and with
the one bound of all rows. Coverage of all rows is a metric like others, in `folds`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from factory_assets.ml.evaluation.region_coverage import cover_rows
from factory_assets.results.uncertainty import RegionBounds

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

GROUPS = {
    "ai4i": "type",
    "heart": "sex",
    "readmission": "race",
    "trial": "gender",
    "census": "race",
    "parties": "educ",
    "penguins": "island",
    "wages": "education",
    "hitters": "League",
    "cars": "Origin",
}
"""The input that says of which group a row is, for each problem that has one."""


class GroupCounts(NamedTuple):
    """Judged rows of a group, and how many of their sets or intervals contain the truth."""

    rows: int
    own: int
    """With the bound of the group."""
    shared: int
    """With the one bound of all rows."""


def count_groups(
    bounds: RegionBounds, rows: pa.Table, truth: NDArray[Any], outputs: NDArray[Any]
) -> dict[str, GroupCounts]:
    """Count the rows of each group that is known; none if the bounds are not of groups.

    Args:
        bounds, rows, truth, outputs: as for `cover_rows`.
    """
    own = cover_rows(bounds, rows, truth, outputs)
    if own.groups is None:
        return {}
    shared = cover_rows(bounds.model_copy(update={"groups": ()}), rows, truth, outputs)
    found = {}
    for name in sorted({*own.groups.tolist()} - {""}):
        of_group = own.groups == name
        hits = (int(regions.covered[of_group].sum()) for regions in (own, shared))
        found[name] = GroupCounts(int(of_group.sum()), *hits)
    return found


def total(counts: Iterable[Mapping[str, Sequence[int]]]) -> dict[str, GroupCounts]:
    """Return the counts of each group over several folds."""
    found: dict[str, list[Sequence[int]]] = {}
    for of_fold in counts:
        for name, one in of_fold.items():
            found.setdefault(name, []).append(one)
    return {name: GroupCounts(*map(sum, zip(*found[name], strict=True))) for name in sorted(found)}
