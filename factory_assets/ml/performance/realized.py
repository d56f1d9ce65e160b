"""Performance of a model in a window as far as its truth has arrived.

Which label belongs to which answer is decided elsewhere. Performance without truth belongs in
`estimation.py`, the formulas of metrics and intervals in `ml/metrics/`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from factory_assets.ml.metrics.bootstrap import bootstrap_intervals
from factory_assets.ml.metrics.fairness import Grouping, group_rates, rate_groups
from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.ml.performance.labelled_rows import known_truth
from factory_assets.results.evaluation import Group
from factory_resources.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


NOTABLE_DISTANCE, NOTABLE_CHANCE = 0.1, 0.01
"""Labelled rows are called a selection if the distributions of outputs are further apart than
this, and chance would part them so far less often than this."""


@dataclass(frozen=True)
class MeasuredMetric:
    """A metric of labelled rows."""

    value: float
    low: float | None
    high: float | None
    """Upper end of the 95 % bootstrap interval, which begins at `low`; None if there is none."""


@dataclass(frozen=True)
class MeasuredSlice:
    """The metrics of the labelled rows with one value of a column."""

    column: str
    value: str
    rows: int
    metrics: dict[str, MeasuredMetric]
    """Empty if there are too few rows."""


@dataclass(frozen=True)
class LabelSelection:
    """How the rows that have labels differ from those that have none, by the model's outputs."""

    distance: float
    """The largest difference between the two distributions of an output, 0 … 1."""
    chance: float
    """The probability of such a distance, or a larger one, if labels were missing at random."""

    @property
    def caveat(self) -> str:
        """What the selection means for the metrics; empty if nothing speaks for one."""
        if self.distance < NOTABLE_DISTANCE or self.chance > NOTABLE_CHANCE:
            return ""
        return (
            "labels are not missing at random: outputs of labelled and unlabelled rows are "
            f"distributed differently (distance {self.distance:.2f}), so these metrics describe "
            "the labelled rows only"
        )


@dataclass(frozen=True)
class RealizedPerformance:
    """The performance on the labelled rows of a window."""

    labelled: int
    unlabelled: int
    unknown: int
    """Labelled rows whose class the model does not know; no metric counts them."""
    metrics: dict[str, MeasuredMetric]
    slices: tuple[MeasuredSlice, ...]
    groups: tuple[Group, ...]
    """Two classes: the rates of each group of protected columns."""
    selection: LabelSelection | None
    """None unless there are labelled and unlabelled rows."""


def realized_performance(
    scored: ScoredRows,
    labelled: NDArray[np.bool_],
    names: Collection[str],
    *,
    slices: Sequence[Grouping] = (),
    protected: Sequence[Grouping] = (),
    min_rows: int = 1,
    resamples: int = 200,
    seed: int = 0,
) -> RealizedPerformance:
    """Measure the named metrics on the labelled rows of a window.

    Args:
        scored: all rows; the truth of unlabelled ones is not read.
        labelled: [rows].
        slices: columns by whose values metrics are measured; codes are [rows].
        protected: columns whose groups are compared if there are two classes; codes are [rows].
        min_rows: slices and groups with fewer rows are not measured.
        resamples: the maximum number of resamples of an interval; 0 for no intervals.

    Raises:
        DataError: `labelled` or a grouping is not of the same rows.
    """
    import numpy as np

    _require_rows(len(scored), labelled, *(one.codes for one in (*slices, *protected)))
    known = known_truth(scored.truth, scored.outputs)
    rows = np.flatnonzero(labelled & known)
    whole = scored.take(rows)
    groups: tuple[Group, ...] = ()
    if scored.task == "binary" and protected:
        own = [_taken(grouping, rows) for grouping in protected]
        counted = rate_groups(own, whole.truth, min_rows)
        whole = replace(whole, groups=counted)
        groups = group_rates(own, counted, whole.predicted)
    return RealizedPerformance(
        labelled=int(labelled.sum()),
        unlabelled=int((~labelled).sum()),
        unknown=int((labelled & ~known).sum()),
        metrics=_measured(whole, names, resamples, seed),
        slices=tuple(
            _slice(_taken(grouping, rows), code, whole, names, min_rows, resamples, seed)
            for grouping in slices
            for code in range(len(grouping.names))
        ),
        groups=groups,
        selection=label_selection(scored.outputs, labelled),
    )


def label_selection(outputs: NDArray[Any], labelled: NDArray[np.bool_]) -> LabelSelection | None:
    """Compare the outputs of labelled and unlabelled rows (Kolmogorov-Smirnov).

    Of several classes the one that differs most counts; its probability is multiplied by the
    number of classes (Bonferroni).

    Args:
        outputs: [rows, classes] or [rows].
        labelled: [rows].

    Returns:
        None unless there are rows of both kinds.
    """
    from scipy.stats import ks_2samp

    if labelled.all() or not labelled.any():
        return None
    columns = [outputs] if outputs.ndim == 1 else [*outputs.T[1 if outputs.shape[1] == 2 else 0 :]]
    tests = [ks_2samp(column[labelled], column[~labelled], method="asymp") for column in columns]
    furthest = max(tests, key=lambda test: test.statistic)
    chance = min(1.0, len(columns) * float(furthest.pvalue))
    return LabelSelection(float(furthest.statistic), chance)


def _measured(
    scored: ScoredRows, names: Collection[str], resamples: int, seed: int
) -> dict[str, MeasuredMetric]:
    values = scored.metrics(names)
    intervals = bootstrap_intervals(scored, values.keys(), resamples=resamples, seed=seed)
    return {
        name: MeasuredMetric(value, *intervals.get(name, (None, None)))
        for name, value in values.items()
    }


def _slice(
    grouping: Grouping,
    code: int,
    whole: ScoredRows,
    names: Collection[str],
    min_rows: int,
    resamples: int,
    seed: int,
) -> MeasuredSlice:
    import numpy as np

    rows = np.flatnonzero(grouping.codes == code)
    metrics = {}
    if len(rows) >= min_rows:
        metrics = _measured(whole.take(rows), names, resamples, seed)
    return MeasuredSlice(grouping.column, grouping.names[code], len(rows), metrics)


def _taken(grouping: Grouping, rows: NDArray[np.int64]) -> Grouping:
    return replace(grouping, codes=grouping.codes[rows])


def _require_rows(rows: int, *arrays: NDArray[Any]) -> None:
    if any(len(array) != rows for array in arrays):
        raise DataError(
            f"labels or groups are not those of the {rows} scored rows",
            remedy="pass one value for each row",
        )
