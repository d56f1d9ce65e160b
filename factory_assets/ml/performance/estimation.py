"""Performance of a model in a window of rows whose truth is not known yet.

For classes the outputs are calibrated on reference rows that are weighted to resemble the window
(M-CBPE), for numbers the errors are predicted (direct loss estimation). Each estimate comes with
an interval that was measured on shifts of the reference rows. Performance with truth belongs in
`factory_assets.monitoring.outcomes`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from factory_assets.ml.metrics.metrics import DECISION_METRICS, ScoredRows, normalise_probabilities
from factory_assets.ml.metrics.ranking import RANKING_METRICS
from factory_assets.ml.performance.density_ratio import DensityRatio
from factory_assets.ml.performance.estimation_error import (
    LEVEL,
    EstimationErrors,
    Recall,
    quantile,
    simulated_ratios,
    widened,
)
from factory_assets.ml.performance.labelled_rows import EncodedRows, Labelled, RowEncoder
from factory_assets.ml.performance.window_estimate import EncodedReference, WindowEstimate
from factory_assets.spec.train import Task
from factory_resources.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


_OF_CLASSES = DECISION_METRICS | RANKING_METRICS.keys() | {"log_loss"}

ESTIMABLE: Mapping[Task, frozenset[str]] = MappingProxyType(
    {
        "binary": _OF_CLASSES | {"brier"},
        "multiclass": _OF_CLASSES,
        "regression": frozenset({"mae", "rmse", "r2"}),
    }
)
"""The metrics that can be estimated without truth. Left out are `ece`, since calibration is what
the estimate itself assumes; metrics of groups; and sums and cut values of errors."""

MOST_REFERENCE_ROWS, MOST_WINDOW_ROWS = 10_000, 20_000
"""More rows are drawn at random."""

FEWEST_REFERENCE_ROWS = 50

FEWEST_EFFECTIVE_ROWS, SMALLEST_OVERLAP = 30, 0.6
"""Below either of them a window is too far from the reference."""

MOST_OUTSIDE = 0.05
"""The share of rows beyond the reference from which errors of numbers, which have no bound, may
be of any size."""

DRAWS = 60

NORMAL_QUANTILE = 1.96
"""Standard errors that a normal error keeps with probability 95 %."""

RESAMPLES = 100

ASSUMPTION = "holds only if equal inputs still have equal truth; that cannot be seen without labels"


@dataclass(frozen=True)
class Estimate:
    """The estimated value of a metric in a window."""

    value: float
    low: float
    high: float
    """Upper end of the interval, which begins at `low`."""
    trusted: bool
    """Whether the interval contains the truth with probability 95 %, under the assumption."""
    why: str
    """Why it is not trusted; of a trusted one, what it assumes."""


@dataclass(frozen=True)
class PerformanceEstimator:
    """Estimates the metrics of one model, from labelled rows that it was not trained on."""

    encoder: RowEncoder
    reference: EncodedReference
    known: Mapping[str, float]
    """The metrics of the reference rows."""
    errors: EstimationErrors
    seed: int

    @classmethod
    def fit(
        cls,
        reference: Labelled,
        threshold: float,
        metrics: Collection[str],
        seed: int,
        recall: Recall | None = None,
    ) -> PerformanceEstimator:
        """Learn from labelled rows, and measure on them how far estimates are off.

        Args:
            reference: rows that the model was not trained on; of many, 10,000 are drawn.
            threshold: two classes: the probability from which the model decides for the second.
            metrics: names of metrics; those outside `ESTIMABLE` are left out.
            seed: equal seeds give equal estimates.
            recall: spares measuring the errors of the same rows again, which is nearly all of the
                time; None if they are measured.

        Raises:
            DataError: fewer than 50 rows, rows that do not belong together, or an unknown truth.
        """
        reference.require_whole()
        if len(reference) < FEWEST_REFERENCE_ROWS:
            raise DataError(
                f"{len(reference)} labelled rows are too few to estimate performance from",
                remedy=f"provide at least {FEWEST_REFERENCE_ROWS} rows that the model did not "
                "learn from",
            )
        names = ESTIMABLE[reference.task] & {*metrics}
        drawn = _draw(len(reference), MOST_REFERENCE_ROWS, seed)
        inputs, truth = reference.inputs.take(drawn), reference.truth[drawn]
        encoder = RowEncoder.fit(inputs)
        rows = encoder.encode(inputs, _exact(reference.outputs[drawn]))
        rows = replace(rows, multiclass=reference.multiclass)
        with _one_thread():
            learned = EncodedReference.learn(rows, truth, threshold, seed)
            known = learned.scored(rows, truth).metrics(names)

            def measure() -> EstimationErrors:
                ratios = simulated_ratios(rows, truth, threshold, [*known], seed)
                spreads = _standard_errors(learned.scored(rows, truth), [*known], seed)
                return EstimationErrors(ratios, spreads)

            digest = _digest(learned, [*known], seed)
            errors = recall(digest, measure) if recall else measure()
        return cls(encoder, learned, known, errors, seed)

    def estimate(self, inputs: pa.Table, outputs: NDArray[Any]) -> dict[str, Estimate]:
        """Estimate the metrics of a window; of many rows, 20,000 are drawn.

        Args:
            inputs: [rows] with the columns of the reference; others are not read.
            outputs: probabilities [rows, classes] or predictions [rows].

        Returns:
            Metric to estimate, without metrics that are undefined; empty if there are no rows.

        Raises:
            DataError: a column is missing or holds values of another type.
        """
        if not len(outputs):
            return {}
        drawn = _draw(len(outputs), MOST_WINDOW_ROWS, self.seed)
        window = self.encoder.encode(inputs.take(drawn), _exact(outputs[drawn]))
        with _one_thread():
            found = self.reference.estimate(window, [*self.known], draws=DRAWS, seed=self.seed)
        far = self._distance(window, found.ratio)
        estimates = {}
        for name in found.values.keys() & found.scales.keys():
            bound = quantile(self.errors.ratios[name], LEVEL)
            few = "" if bound else "there are too few labelled rows to measure the error"
            why = far or few
            # Without a measured bound the widest of the errors that were seen is the best guess.
            reach = bound if bound is not None else 2 * max(self.errors.ratios[name], default=3.0)
            chance = self._chance(found, name, len(window))
            half = max(reach * widened(found, name, self.known[name]), chance)
            value = found.values[name]
            low, high = _range(name)
            estimates[name] = Estimate(
                value, max(low, value - half), min(high, value + half), not why, why or ASSUMPTION
            )
        return dict(sorted(estimates.items()))

    def _chance(self, found: WindowEstimate, name: str, rows: int) -> float:
        """Return how far chance alone moves an estimate: that of the window, and of the reference.

        The simulated windows are of the same reference rows, and cannot tell the second.
        """
        effective = found.ratio.effective_rows
        of_window = found.scales[name] / (1 + rows / effective) ** 0.5
        of_reference = self.errors.spreads[name] * (len(self.reference.rows) / effective) ** 0.5
        return NORMAL_QUANTILE * float((of_window**2 + of_reference**2) ** 0.5)

    def _distance(self, window: EncodedRows, ratio: DensityRatio) -> str:
        """Return in which way the window is too far from the reference; empty if it is not."""
        if ratio.overlap < SMALLEST_OVERLAP:
            share = 1 - ratio.overlap
            return f"about {share:.0%} of the window lies where there are no labelled rows"
        if ratio.effective_rows < FEWEST_EFFECTIVE_ROWS:
            return f"only {ratio.effective_rows:.0f} labelled rows, in effect, resemble the window"
        outside = self.reference.share_outside(window) if self.reference.errors else 0.0
        if outside > MOST_OUTSIDE:
            return f"{outside:.0%} of the window has numbers beyond those of all labelled rows"
        return ""


def _digest(reference: EncodedReference, names: Collection[str], seed: int) -> bytes:
    """Return a digest of everything that decides what is measured, the code included."""
    content = sha256()
    for module in sorted(Path(__file__).parent.glob("*.py")):
        content.update(module.read_bytes())
    rows = reference.rows
    for array in (rows.inputs, rows.outputs, reference.truth):
        content.update(repr((array.shape, array.dtype.str)).encode())
        content.update(array.tobytes())
    content.update(repr((sorted(names), reference.threshold, rows.task, seed)).encode())
    return content.digest()


def _standard_errors(scored: ScoredRows, names: Collection[str], seed: int) -> dict[str, float]:
    """Return the bootstrap standard error of each metric."""
    import numpy as np

    generator = np.random.default_rng(seed)
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(RESAMPLES):
        chosen = generator.integers(0, len(scored), len(scored))
        for name, value in scored.take(chosen).metrics(names).items():
            found[name].append(value)
    return {name: float(np.std(values)) if values else 0.0 for name, values in found.items()}


def _range(metric: str) -> tuple[float, float]:
    match metric:
        case "log_loss" | "mae" | "rmse":
            return 0.0, float("inf")
        case "r2":
            return float("-inf"), 1.0
        case _:
            return 0.0, 1.0


def _one_thread() -> AbstractContextManager[Any]:
    """Keep small models on one thread: many, on a busy machine, take ten times as long."""
    import sklearn.ensemble  # noqa: F401 - only libraries that are loaded are limited
    from threadpoolctl import threadpool_limits

    limited: AbstractContextManager[Any] = threadpool_limits(1)
    return limited


def _draw(rows: int, most: int, seed: int) -> NDArray[np.int64]:
    """Return the ascending indices of all rows, or of `most` of them."""
    import numpy as np

    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False, shuffle=False))


def _exact(outputs: NDArray[Any]) -> NDArray[np.float64]:
    import numpy as np

    if outputs.ndim == 2:
        return normalise_probabilities(outputs)
    return np.asarray(outputs, dtype=np.float64)
