"""Find pairs of inputs whose sum, difference or ratio tells the target almost exactly.

An outcome is often stored beside what was planned, such as an arrival time beside the scheduled
one: neither tells the delay, but their difference does.

A pair is judged by Chatterjee's ξ (2021, doi 10.1080/01621459.2020.1758115): the rows are sorted by
the sum, and ξ is 1 if the target changes as little as possible from row to row, 0 if as much as by
chance. So any function of the sum is found, and any threshold. All pairs are screened on few rows;
those that remain are measured on more. What single inputs tell belongs in `predictive_power`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import comb
from typing import TYPE_CHECKING, Any, get_args

from factory_assets.data.leakage.encoding import (
    encode_names,
    is_regressed,
    ranks,
    times_as_numbers,
)
from factory_assets.results.data import InputPair, Relation

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from factory_assets.data.leakage.predictive_power import Power

_FEWEST = 100
"""Fewest rows with which a pair is judged."""

_COLUMNS, _DISTINCT = 200, 5
"""Most columns whose pairs are searched, and the fewest values that a column must have."""

_SCREEN_ROWS, _ROWS = 200, 20_000
"""Rows on which all pairs are screened, and on which the remaining ones are measured."""

_CHUNK, _MEASURED, _SHOWN = 4096, 100, 20
"""Pairs that are screened at once, most pairs that are measured, and most that are returned."""

_PROMISING, _EXACT = 0.7, 0.95
"""ξ from which a screened pair is measured, and from which a measured pair is a leak."""

_SURE, _CHANCE = 0.8, 0.05
"""ξ that a pair of a class surely exceeds, and the largest chance that any of those tried seems to:
among the pairs of 150 sensors, one nearly separates a hundred rows."""

_BETTER = 0.5
"""A pair must lack at most this share of what the better of its inputs lacks by itself."""

_STRONG = 0.975
"""AUC of a single input that separates the classes by itself: its pairs say nothing new."""

_KNOWN = 0.5
"""Smallest share of the rows that must have a value in both columns."""

_DAY = 1440
"""Minutes."""

_RELATIONS: tuple[Relation, ...] = get_args(Relation)


def measure_pairs(
    table: pa.Table, target: str, task: str | None, power: Power
) -> tuple[InputPair, ...]:
    """Return the pairs of numeric inputs or times that tell the target together, best first.

    Args:
        table: training rows in random order.
        target: the name of a column without missing values.
        task: the declared task; None to infer it from the target.
        power: what each input tells alone; those that tell everything are left out.
    """
    if table.num_rows < _FEWEST:
        return ()
    course = _course(table[target], task)
    names = [name for name in table.column_names if name != target and not _tells(power, name)]
    names.sort(key=lambda name: -power.of.get(name, 0.0))
    columns = [*islice(_numeric(table.slice(0, _ROWS), names), _COLUMNS)]
    columns.sort(key=lambda column: table.column_names.index(column.name))
    promising = _screened(columns, course)
    best: dict[tuple[str, str], InputPair] = {}
    tried = len(_RELATIONS) * comb(len(columns), 2)
    for relation, one, two in promising:
        pair = _measured(relation, columns[one], columns[two], course, tried)
        known = pair and best.get(pair.columns)
        if pair and (not known or known.order < pair.order):
            best[pair.columns] = pair
    return tuple(sorted(best.values(), key=lambda pair: -pair.order)[:_SHOWN])


@dataclass(frozen=True)
class _Column:
    """A column as numbers, NaN where it has none."""

    name: str
    values: NDArray[np.float64]
    clock: bool
    """Whether it is a time of day, in minutes."""


@dataclass(frozen=True)
class _Course:
    """The target of the measured rows, whose changes from row to row are counted."""

    values: NDArray[Any]
    """Ranks between 0 and 1, or codes of classes."""
    classes: bool

    def take(self, rows: NDArray[Any] | slice) -> _Course:
        return _Course(self.values[rows], self.classes)


def _tells(power: Power, name: str) -> bool:
    """Return whether the input tells the target, or separates its classes, without another one."""
    alone = power.of.get(name, 0.0)
    leak = power.limit is not None and alone >= power.limit
    return leak or (power.measure == "AUC" and alone >= _STRONG)


def _course(target: pa.ChunkedArray, task: str | None) -> _Course:
    measured = target.slice(0, _ROWS)
    if not is_regressed(target, task):
        return _Course(encode_names(measured)[0], classes=True)
    return _Course(ranks(measured.cast("float64", safe=False).to_numpy()), classes=False)


def _numeric(table: pa.Table, names: Sequence[str]) -> Iterator[_Column]:
    import numpy as np
    import pyarrow.types as types

    for name in names:
        column = times_as_numbers(table[name])
        if not types.is_integer(column.type) and not types.is_floating(column.type):
            continue
        values = column.cast("float64", safe=False).to_numpy(zero_copy_only=False)
        values = np.where(np.isfinite(values), values, np.nan)
        known = np.unique(values[~np.isnan(values)])
        if len(known) >= _DISTINCT:
            clock = _is_clock(known)
            values = values // 100 * 60 + values % 100 if clock else values
            yield _Column(name, values, clock)


def _is_clock(values: NDArray[np.float64]) -> bool:
    """Return whether numbers are times of day such as 1545."""
    whole = values == values.round()
    fits = (values >= 0) & (values <= 2400) & (values % 100 < 60)
    return bool((whole & fits).all()) and len(values) > 60 and bool(values[-1] > 1200)


def _screened(columns: Sequence[_Column], course: _Course) -> list[tuple[Relation, int, int]]:
    """Return the relations and positions of the pairs that are worth measuring, best first."""
    import numpy as np

    if len(columns) < 2:
        return []
    rows = _screening_rows(course)
    values = np.stack([column.values[rows] for column in columns])
    clocks = np.array([column.clock for column in columns])
    ones, twos = np.triu_indices(len(columns), 1)
    found = []
    for start in range(0, len(ones), _CHUNK):
        one, two = ones[start : start + _CHUNK], twos[start : start + _CHUNK]
        on_clock = clocks[one] & clocks[two]
        for relation in _RELATIONS:
            along = _combined(relation, values[one], values[two], on_clock)
            order = _xi(along, course.take(rows))
            found += [
                (float(order[place]), relation, int(one[place]), int(two[place]))
                for place in np.flatnonzero(order >= _PROMISING)
            ]
    found.sort(key=lambda pair: -pair[0])
    return [(relation, one, two) for _, relation, one, two in found[:_MEASURED]]


def _screening_rows(course: _Course) -> NDArray[np.int64]:
    """Return the first rows; of classes, about equally many of each, so that rare ones count."""
    import numpy as np

    if not course.classes:
        return np.arange(min(_SCREEN_ROWS, len(course.values)))
    counts = np.bincount(course.values)
    each = max(_SCREEN_ROWS // len(counts), 5)
    rows = [np.flatnonzero(course.values == code)[:each] for code in np.argsort(-counts)[:20]]
    return np.sort(np.concatenate(rows))


def _measured(
    relation: Relation, one: _Column, two: _Column, course: _Course, tried: int
) -> InputPair | None:
    """Return the pair if it tells the target almost exactly, and far better than each input.

    Args:
        tried: how many sums, differences and ratios were searched for the best ones.
    """
    import numpy as np

    both = np.array([one.clock and two.clock])
    along = _combined(relation, one.values[None], two.values[None], both)
    order, *single = (
        float(_xi(values, course)[0]) for values in (along, one.values[None], two.values[None])
    )
    if order < _EXACT or 1 - order > _BETTER * (1 - max(single)):
        return None
    if course.classes and _chance_of(order, along, course) * tried > _CHANCE:
        return None
    return InputPair(columns=(one.name, two.name), relation=relation, order=round(order, 4))


def _chance_of(order: float, along: NDArray[np.float64], course: _Course) -> float:
    """Return the chance that a pair of classes whose ξ is `_SURE` seems to have at least this one.

    Args:
        order: the ξ of these values.
        along: [1, rows].
    """
    import numpy as np
    from scipy.special import bdtr

    known = ~np.isnan(along)
    counts = known.sum(axis=1)
    [differ] = _chance(known, counts, course)
    steps = int(counts[0]) - 1
    changes = round((1 - order) * differ * steps)
    return float(bdtr(changes, steps, (1 - _SURE) * differ))


def _combined(
    relation: Relation,
    one: NDArray[np.float64],
    two: NDArray[np.float64],
    clock: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Combine values [pairs, rows]; `clock` [pairs] says where both are times of day."""
    import numpy as np

    if relation == "sum":
        return one + two
    if relation == "difference":
        less = one - two
        # From 23:50 to 0:10 is 20 minutes.
        less[clock] = (less[clock] + _DAY / 2) % _DAY - _DAY / 2
        return less
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = one / two
    return np.where(np.isfinite(ratio), ratio, np.nan)


def _xi(along: NDArray[np.float64], course: _Course) -> NDArray[np.float64]:
    """Return Chatterjee's ξ of the target for each row of values [pairs, rows]; 0 if few are known.

    Missing values, which are sorted last, do not count.
    """
    import numpy as np

    target = course.values
    known = ~np.isnan(along)
    counts = known.sum(axis=1)
    sorted_target = target[np.argsort(along, axis=1)]
    before, after = sorted_target[:, :-1], sorted_target[:, 1:]
    steps = before != after if course.classes else np.abs(after - before)
    inside = np.arange(steps.shape[1]) < (counts - 1)[:, None]
    change = (steps * inside).sum(axis=1) / np.maximum(counts - 1, 1)
    chance = _chance(known, counts, course)
    enough = (counts >= _KNOWN * along.shape[1]) & (chance > 0)
    order: NDArray[np.float64] = np.where(enough, 1 - change / np.where(enough, chance, 1.0), 0.0)
    return order


def _chance(
    known: NDArray[np.bool_], counts: NDArray[np.int64], course: _Course
) -> NDArray[np.float64]:
    """Return the mean change between two random rows among the known ones, for each pair."""
    import numpy as np

    weights, rows = known.astype(float), np.maximum(counts, 1)
    if course.classes:
        each = weights @ np.eye(int(course.values.max()) + 1)[course.values]
        differ: NDArray[np.float64] = 1 - ((each / rows[:, None]) ** 2).sum(axis=1)
        return differ
    mean = weights @ course.values / rows
    variance = weights @ course.values**2 / rows - mean**2
    # Two numbers drawn evenly from an interval differ by 2/√3 of their standard deviation.
    typical: NDArray[np.float64] = 2 / 3**0.5 * np.sqrt(np.maximum(variance, 0.0))
    return typical
