"""Compare a snapshot with the previous one: columns, types, missing values, distributions.

The measure is the population stability index (PSI) over the bins of the previous snapshot: 0 means
no change, 0.1 a slight and 0.2 a clear one. What chance alone may add in samples of this size is
subtracted, so that small tables raise no false alarms.

Whether a change breaks the contract belongs in `contract.table_checks`.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from math import log, sqrt
from typing import Any

from factory_assets.data.profiling.profile import ColumnProfile, Profile, binned
from factory_assets.results.data import MISSING, ColumnDrift, Drift

_LISTED = 200
"""Largest number of changes that are stored, beside those of named columns."""


def drift(
    against: str,
    before: Profile,
    after: Profile,
    sampled: Mapping[str, Any],
    *,
    keys: Collection[str] = (),
    named: Collection[str] = (),
) -> Drift:
    """Compare a snapshot with the previous one.

    Args:
        against: the data version of the previous snapshot.
        before: the profile of the previous snapshot.
        after: the profile of the new snapshot.
        sampled: sampled values of the new snapshot by column.
        keys: columns of the keys of a partition, which are of one value and differ by intention.
        named: columns whose changes are all listed; of the others, the largest changes are.
    """
    added = [name for name in after.columns if name not in before.columns]
    removed = [name for name in before.columns if name not in after.columns]
    both = [name for name in after.columns if name in before.columns]
    compared = [name for name in both if name not in keys]
    moved = [
        change
        for name in compared
        for change in _column_drifts(name, before, after, sampled.get(name))
    ]
    moved.sort(key=lambda change: -change.index)
    return Drift(
        against=against,
        rows_before=before.rows,
        schema_changes=tuple(
            [f"column {name!r} is new" for name in added]
            + [f"column {name!r} is gone" for name in removed]
            + [
                f"column {name!r} was {before.columns[name].type}, now {after.columns[name].type}"
                for name in both
                if before.columns[name].type != after.columns[name].type
            ]
        ),
        moved=tuple(
            change for i, change in enumerate(moved) if i < _LISTED or change.column in named
        ),
    )


def _column_drifts(name: str, before: Profile, after: Profile, values: Any) -> list[ColumnDrift]:
    """Return the drift of the share of missing values, and that of the values."""
    old, new = before.columns[name], after.columns[name]
    counts = [
        [p.missing * n, (1 - p.missing) * n] for p, n in ((old, before.rows), (new, after.rows))
    ]
    drifts = []
    if index := psi(*counts):
        what = f"{MISSING}{old.missing:.1%} → {new.missing:.1%}"
        drifts.append(ColumnDrift(column=name, index=index, what=what))
    if values is None or not old.count or not new.count or old.type != new.type:
        return drifts
    now = _counts(old, values)
    past = [share * old.count for share in _shares(old)]
    if index := psi(past, now):
        drifts.append(ColumnDrift(column=name, index=index, what=_change_in_words(old, new, now)))
    return drifts


def _shares(old: ColumnProfile) -> Sequence[float]:
    if not old.categories:
        return old.shares
    return [*old.categories.values(), max(0.0, 1 - sum(old.categories.values()))]


def _counts(old: ColumnProfile, values: Any) -> list[int]:
    """Return how many of the values are in each bin of the previous snapshot."""
    if not old.categories:
        return binned(values, old.edges)
    counted = Counter(str(value) for value in values.tolist())
    known = [counted[name] for name in old.categories]
    return [*known, len(values) - sum(known)]


def psi(past: Sequence[float], now: Sequence[float]) -> float:
    """Return the population stability index less what chance may add, never below 0.

    Args:
        past: the number of values in each bin, in the previous snapshot.
        now: the same in the new snapshot.
    """
    bins = [(p, n) for p, n in zip(past, now, strict=True) if p or n]
    k, all_past, all_now = len(bins), sum(past), sum(now)
    if k < 2 or not all_past or not all_now:
        return 0.0
    index = 0.0
    for p, n in bins:
        # Half a value more in each bin keeps an empty bin from being an infinite change.
        was, is_ = (p + 0.5) / (all_past + k / 2), (n + 0.5) / (all_now + k / 2)
        index += (is_ - was) * log(is_ / was)
    chance = (k - 1 + 2 * sqrt(2 * (k - 1))) * (1 / all_past + 1 / all_now)
    return round(max(0.0, index - chance), 4)


def _change_in_words(old: ColumnProfile, new: ColumnProfile, now: Sequence[int]) -> str:
    if not old.categories:
        return f"{_spread(old)} → {_spread(new)}"
    total = sum(now)
    names = [*(repr(name[:40]) for name in old.categories), "other values"]
    changes = [
        (abs(count / total - share), f"{name} {share:.1%} → {count / total:.1%} of the values")
        for name, share, count in zip(names, _shares(old), now, strict=True)
    ]
    return max(changes, key=lambda change: change[0])[1]


def _spread(column: ColumnProfile) -> str:
    """Return the median and the range of the middle 80 % of the values, in words."""
    low, high = column.edges[0], column.edges[-1]
    reached, median = 0.0, high
    for edge, share in zip(column.edges, column.shares, strict=False):
        reached += share
        if reached >= 0.5:
            median = edge
            break
    return f"median {median:.6g} (mostly {low:.6g} to {high:.6g})"
