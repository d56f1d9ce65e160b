"""What the records say together: figures with their spread, mean ranks, wins of one over another.

The figure of a seed is the mean over its folds. A contestant that had no answer on a fold has no
figure on that problem, and the last rank. Measuring belongs in `records`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from benchmarks.modelling.records import Record
from factory_assets.ml.metrics.fairness import wilson
from factory_assets.ml.metrics.metrics import higher_is_better

BEST_KIND = "best kind"
"""On each fold the kind of model that did best on the validation rows of the fold."""

Figures = Mapping[str, Sequence[float]]
"""The figures of each contestant, one a seed."""


@dataclass(frozen=True)
class Wins:
    """How often one contestant was better than another, of all problems and seeds."""

    won: int
    of: int
    """Ties count for neither."""

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share. Seeds of one problem are alike, which it ignores."""
        return wilson(self.won, self.of)


def best_kind(records: Iterable[Record], kinds: Sequence[str], metric: str) -> list[Record]:
    """Choose among the kinds on each fold by validation rows; the cost is that of all of them."""
    sign = 1 if higher_is_better(metric) else -1
    by_fold: dict[tuple[str, int, int], list[Record]] = {}
    for record in records:
        if record.contestant in kinds and record.validation is not None:
            by_fold.setdefault((record.problem, record.seed, record.fold), []).append(record)
    return [
        replace(
            max(tried, key=lambda record: sign * (record.validation or 0.0)),
            contestant=BEST_KIND,
            cpu=sum(record.cpu for record in tried),
            wall=sum(record.wall for record in tried),
        )
        for tried in by_fold.values()
    ]


def figures(records: Iterable[Record], metric: str) -> dict[str, list[float]]:
    """Return the figures of each contestant that answered on all folds of the problem."""
    values: dict[str, dict[tuple[int, int], float]] = {}
    folds: set[tuple[int, int]] = set()
    for record in records:
        folds.add(place := (record.seed, record.fold))
        if metric in record.metrics:
            values.setdefault(record.contestant, {})[place] = record.metrics[metric]
    seeds = sorted({seed for seed, _ in folds})
    return {
        name: [fmean(v for (s, _), v in by_fold.items() if s == seed) for seed in seeds]
        for name, by_fold in values.items()
        if by_fold.keys() == folds
    }


def spread(values: Sequence[float]) -> float | None:
    """The standard deviation over seeds; None of a single one."""
    return stdev(values) if len(values) > 1 else None


def ranks(found: Figures, contestants: Sequence[str], metric: str) -> dict[str, float]:
    """Rank the contestants by their mean figure, the best first; equal ones share their ranks."""
    sign = -1 if higher_is_better(metric) else 1
    last = float("inf")
    order = {c: sign * fmean(found[c]) if c in found else last for c in contestants}
    return {
        name: 1
        + sum(other < value for other in order.values())
        + (sum(other == value for other in order.values()) - 1) / 2
        for name, value in order.items()
    }


def mean_ranks(
    problems: Mapping[str, tuple[str, Figures]], contestants: Sequence[str]
) -> dict[str, float]:
    """Return the mean rank of each contestant, best first.

    Args:
        problems: the ranking metric and the figures of each problem.
    """
    each = [ranks(found, contestants, metric) for metric, found in problems.values()]
    means = {name: fmean(of_problem[name] for of_problem in each) for name in contestants}
    return dict(sorted(means.items(), key=lambda item: item[1]))


def differences(found: Figures, first: str, second: str, metric: str) -> list[float]:
    """Return by how much the first was better than the second, seed by seed.

    Both saw the same rows, so what makes those of a seed easy or hard cancels out.
    """
    sign = 1 if higher_is_better(metric) else -1
    pairs = zip(found.get(first, ()), found.get(second, ()), strict=False)
    return [sign * (one - two) for one, two in pairs]


def wins(problems: Mapping[str, tuple[str, Figures]], first: str, second: str) -> Wins:
    """Count the problems and seeds in which the first is better than the second."""
    better = worse = 0
    for metric, found in problems.values():
        by_seed = differences(found, first, second, metric)
        better += sum(difference > 0 for difference in by_seed)
        worse += sum(difference < 0 for difference in by_seed)
    return Wins(better, better + worse)
