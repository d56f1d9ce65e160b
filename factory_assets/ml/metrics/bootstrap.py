"""Bootstrap confidence intervals of metrics over the evaluated rows.

The metrics themselves belong in `metrics.py`, differences between two models in `paired.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, TypeAlias

from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.ml.metrics.ranking import RANKING_METRICS, Ranking

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Counts: TypeAlias = NDArray[np.int64]
    """How often a resample has each row, [rows]."""

    ResampledMetrics: TypeAlias = Callable[[Counts], dict[str, float]]
    """Computes the metrics of a resample that are defined."""


LEVEL = 0.95

# A ranking metric of two classes costs about 15 ns per row, others up to 90 ns: the 200 resamples
# allowed for 200,000 rows take 0.6 s with one ranking metric.
MAX_ROWS_DRAWN = 40_000_000

MIN_RESAMPLES = 50

MEANS_OF_CLASSES = frozenset(("balanced_accuracy", "f1", "precision", "recall"))
"""With more than two classes. A resample without a rare class would have the mean of the others,
another quantity."""


def bootstrap_intervals(
    scored: ScoredRows, names: Collection[str], *, resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Return the 95 % percentile interval of each named metric.

    Each resample draws as many rows as there are, with replacement; equal seeds give equal draws.
    A metric that is undefined in at least half of the resamples gets no interval.

    Source: Efron, Bootstrap methods (1979), doi 10.1214/aos/1176344552.

    Args:
        resamples: the maximum number of resamples. Many rows reduce it, but not below 50.
    """
    import numpy as np

    if not resamples or not len(scored) or not names:
        return {}
    count = resample_count(len(scored), len(names), resamples)
    compute = resampled_metrics(_by_score(scored), names)
    drawn = []
    for counts in resamples_of(len(scored), count, seed):
        undefined = MEANS_OF_CLASSES if _lacks_a_class(scored, counts) else frozenset[str]()
        metrics = compute(counts)
        drawn.append({name: metrics[name] for name in metrics.keys() - undefined})
    tails = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    intervals = {}
    for name in sorted(names):
        values = [metrics[name] for metrics in drawn if name in metrics]
        if 2 * len(values) > count:
            low, high = np.percentile(values, tails)
            intervals[name] = (float(low), float(high))
    return intervals


def resample_count(rows: int, metrics: int, requested: int, most: int = MAX_ROWS_DRAWN) -> int:
    """Limit the resamples by rows and metrics: a bound on work, the same on every machine.

    Args:
        most: how many rows are drawn for all metrics together, unless that is too few resamples.
    """
    return min(requested, max(MIN_RESAMPLES, most // (rows * metrics)))


def resamples_of(rows: int, count: int, seed: int) -> Iterator[Counts]:
    """Yield resamples of the rows, drawn with replacement; equal seeds give equal ones."""
    import numpy as np

    generator = np.random.default_rng(seed)
    for _ in range(count):
        yield np.bincount(generator.integers(0, rows, rows), minlength=rows)


def resampled_metrics(scored: ScoredRows, names: Collection[str]) -> ResampledMetrics:
    """Return what computes the named metrics of resamples of these rows."""
    import numpy as np

    ranked = RANKING_METRICS.keys() & names if scored.task == "binary" else frozenset()
    parts = [_ranking_metrics(scored, ranked)] if ranked else []
    if others := {*names} - ranked:
        rows = np.arange(len(scored))
        parts.append(lambda counts: scored.take(np.repeat(rows, counts)).metrics(others))
    return lambda counts: {n: value for part in parts for n, value in part(counts).items()}


def _lacks_a_class(scored: ScoredRows, counts: Counts) -> bool:
    """Whether the resample has fewer classes than the rows, of more than two."""
    import numpy as np

    if scored.task != "multiclass":
        return False
    return bool(np.count_nonzero(np.bincount(scored.truth, counts)) < scored.present)


def _ranking_metrics(scored: ScoredRows, names: Collection[str]) -> ResampledMetrics:
    order = _descending(scored)
    ranking = Ranking(scored.truth[order] == 1, scored.outputs[order, 1])
    return lambda counts: ranking.metrics(counts[order], names)


def _by_score(scored: ScoredRows) -> ScoredRows:
    return scored.take(_descending(scored)) if scored.task == "binary" else scored


def _descending(scored: ScoredRows) -> NDArray[np.int64]:
    """Return the positions of the rows in descending order of the positive class."""
    order: NDArray[np.int64] = (-scored.outputs[:, 1]).argsort(kind="stable")
    return order
