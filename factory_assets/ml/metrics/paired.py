"""Differences between the metrics of two models on the same rows, and how far chance explains them.

Intervals of one model's metrics belong in `bootstrap.py`; what a gate makes of a difference, in
`ml.evaluation.gates`.
"""

from __future__ import annotations

from collections.abc import Collection
from statistics import NormalDist, fmean, stdev

from factory_assets.ml.metrics.bootstrap import resample_count, resampled_metrics, resamples_of
from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.results.evaluation import MetricDifference

LEVEL = 0.9
"""Of the intervals: each end is missed with a probability of 5 %."""

# 50 resamples know a standard deviation to a tenth. Of 100,000 rows, they take 1.5 s of CPU for the
# ROC AUC of two classes, and 8 s for that of five.
_MAX_ROWS_DRAWN = 10_000_000

_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


def paired_differences(
    first: ScoredRows,
    second: ScoredRows,
    names: Collection[str],
    *,
    resamples: int,
    seed: int,
) -> dict[str, MetricDifference]:
    """Return how much larger each named metric is for the first model, with its 90 % interval.

    Both models are scored on the same resampled rows, so what makes a resample easy or hard for
    both cancels out. The interval is the difference and 1.645 standard deviations of those of the
    resamples to either side: unlike percentiles, these need few resamples, and swapping the models
    changes only the signs. Rows are drawn one by one, so rows that go together, such as those of
    one customer, make the interval too narrow.

    A metric that is undefined for one of the models, or in at least half of the resamples, is left
    out.

    Source: Efron and Tibshirani, Bootstrap methods for standard errors (1986), doi
    10.1214/ss/1177013815, standard interval.

    Args:
        first, second: of the same rows in the same order.
        resamples: the maximum number of resamples. Many rows reduce it, but not below 50.
    """
    if not resamples or not len(first) or not names:
        return {}
    mine, theirs = first.metrics(names), second.metrics(names)
    known = sorted(mine.keys() & theirs.keys())
    if not known:
        return {}
    count = resample_count(len(first), 2 * len(known), resamples, _MAX_ROWS_DRAWN)
    ours, others = resampled_metrics(first, known), resampled_metrics(second, known)
    drawn: dict[str, list[float]] = {name: [] for name in known}
    for counts in resamples_of(len(first), count, seed):
        one, two = ours(counts), others(counts)
        for name in one.keys() & two.keys():
            drawn[name].append(one[name] - two[name])
    return {
        name: _difference(mine[name] - theirs[name], values, len(first))
        for name, values in drawn.items()
        if 2 * len(values) > max(count, 2)
    }


def _difference(value: float, drawn: list[float], rows: int) -> MetricDifference:
    reach = _Z * stdev(drawn, fmean(drawn))
    return MetricDifference(value=value, low=value - reach, high=value + reach, rows=rows)
