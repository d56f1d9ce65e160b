"""One estimate of the performance in a window: its values, and how precise they can be at best.

How large the error really is belongs in `estimation_error.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from math import hypot
from typing import TYPE_CHECKING, Any, TypeAlias

from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.ml.performance.density_ratio import DensityRatio, density_ratio
from factory_assets.ml.performance.expected_classes import ExpectedClasses, expect_classes
from factory_assets.ml.performance.expected_errors import ErrorModels, ExpectedErrors
from factory_assets.ml.performance.labelled_rows import EncodedRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Expected: TypeAlias = ExpectedClasses | ExpectedErrors


MOST_DRAWN_ROWS = 2_000
"""Rows of a window for which truth is drawn; the spread of a metric shrinks with their root."""


@dataclass(frozen=True)
class WindowEstimate:
    """What is expected of a window."""

    expected: Expected
    values: Mapping[str, float]
    scales: Mapping[str, float]
    """The standard error of each value, if only chance played a part."""
    ratio: DensityRatio


@dataclass(frozen=True)
class EncodedReference:
    """Encoded reference rows with their truth, and what was learned from them."""

    rows: EncodedRows
    truth: NDArray[Any]
    threshold: float
    errors: ErrorModels | None
    """Only for predicted numbers."""

    @classmethod
    def learn(
        cls, rows: EncodedRows, truth: NDArray[Any], threshold: float, seed: int
    ) -> EncodedReference:
        errors = ErrorModels.fit(rows, truth, seed) if rows.outputs.ndim == 1 else None
        return cls(rows, truth, threshold, errors)

    def scored(self, rows: EncodedRows, truth: NDArray[Any]) -> ScoredRows:
        return ScoredRows(self.rows.task, truth, rows.outputs, threshold=self.threshold)

    def share_outside(self, window: EncodedRows) -> float:
        """Return the share of rows with a number below, or above, that of all reference rows."""
        import numpy as np

        low = np.fmin.reduce(self.rows.inputs, axis=0)
        high = np.fmax.reduce(self.rows.inputs, axis=0)
        return float(((window.inputs < low) | (window.inputs > high)).any(axis=1).mean())

    def estimate(
        self, window: EncodedRows, names: Collection[str], *, draws: int, seed: int
    ) -> WindowEstimate:
        """Estimate the named metrics in a window of at least one row.

        Args:
            draws: how often truth is drawn to measure how much a metric varies by chance.
        """
        ratio = density_ratio(self.rows.inputs, window.inputs, seed)
        expected = self._expect(window, ratio)
        values = expected.metrics(names)
        chance = _spreads(expected, values.keys(), draws, seed)
        # The reference decides like a sample of its effective rows.
        factor = (1 + len(window) / ratio.effective_rows) ** 0.5
        # Where no row is doubted, one may still be of another class.
        one_row = 0.0 if self.errors else 1 / len(window)
        scales = {name: hypot(spread * factor, one_row) for name, spread in chance.items()}
        return WindowEstimate(expected, values, scales, ratio)

    def _expect(self, window: EncodedRows, ratio: DensityRatio) -> Expected:
        if self.errors:
            return self.errors.expect(window)
        expected = expect_classes(
            self.rows.outputs, self.truth, ratio.weights, window.outputs, self.threshold
        )
        return replace(expected, task=self.rows.task)


def _spreads(expected: Expected, names: Collection[str], draws: int, seed: int) -> dict[str, float]:
    """Return the standard deviation of each metric over drawn truths, if mostly defined."""
    import numpy as np

    generator = np.random.default_rng(seed)
    shrunk = 1.0
    if len(expected) > MOST_DRAWN_ROWS:
        shrunk = (MOST_DRAWN_ROWS / len(expected)) ** 0.5
        expected = expected.take(generator.choice(len(expected), MOST_DRAWN_ROWS, replace=False))
    drawn = [expected.draw(generator).metrics(names) for _ in range(draws)]
    each = {name: [metrics[name] for metrics in drawn if name in metrics] for name in names}
    return {
        name: float(np.std(values)) * shrunk
        for name, values in each.items()
        if 2 * len(values) > draws
    }
