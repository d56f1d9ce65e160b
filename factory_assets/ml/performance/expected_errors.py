"""The metrics of predicted numbers that are expected from models of their errors.

Source of direct loss estimation: NannyML (2023), described in arXiv 2401.08348, section 2. The
formulas of metrics belong in `ml/metrics/`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from factory_assets.ml.performance.labelled_rows import EncodedRows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ExpectedErrors:
    """The outputs of a window, and the errors (truth minus output) that are expected of them."""

    outputs: NDArray[np.float64]
    """[rows]."""
    mean: NDArray[np.float64]
    size: NDArray[np.float64]
    square: NDArray[np.float64]
    """[rows] each: the expected error, absolute error and squared error."""
    residuals: NDArray[np.float64]
    """[reference rows]: errors minus their expectation, divided by their expected spread."""

    def __len__(self) -> int:
        return len(self.outputs)

    def take(self, rows: NDArray[Any]) -> ExpectedErrors:
        """Select rows by their indices [rows]."""
        return ExpectedErrors(
            self.outputs[rows],
            self.mean[rows],
            self.size[rows],
            self.square[rows],
            self.residuals,
        )

    def metrics(self, names: Collection[str]) -> dict[str, float]:
        """Return the named metrics of `mae`, `rmse` and `r2`; `r2` only if the truth varies."""
        if not len(self):
            return {}
        squared = float(self.square.mean())
        expected = self.outputs + self.mean
        # The truth varies between rows by its expectation, and within a row around it.
        within = float((self.square - self.mean**2).mean())
        variance = float(expected.var()) + within
        values = {"mae": float(self.size.mean()), "rmse": squared**0.5}
        if variance > 0:
            values["r2"] = 1 - squared / variance
        return {name: value for name, value in values.items() if name in names}

    def draw(self, generator: np.random.Generator) -> ExpectedErrors:
        """Draw an error of each row, and return the window in which this error is certain."""
        drawn = generator.choice(self.residuals, len(self))
        errors = self.mean + drawn * _spread(self.square, self.mean)
        return self.known(self.outputs + errors)

    def known(self, truth: NDArray[np.float64]) -> ExpectedErrors:
        """Return the window in which each row has this true number, [rows]."""
        errors = truth - self.outputs
        return ExpectedErrors(self.outputs, errors, abs(errors), errors**2, self.residuals)


@dataclass(frozen=True)
class ErrorModels:
    """Models of the error, the absolute and the squared error of a row, by inputs and output."""

    mean: Any
    size: Any
    square: Any
    residuals: NDArray[np.float64]

    @classmethod
    def fit(cls, rows: EncodedRows, truth: NDArray[np.float64], seed: int) -> ErrorModels:
        """Learn from labelled rows; `truth` is [rows]."""
        errors = truth - rows.outputs
        mean, size, square = (
            _fit(rows.inputs, target, seed) for target in (errors, abs(errors), errors**2)
        )
        models = cls(mean, size, square, errors)
        expected = models.expect(rows)
        spread = _spread(expected.square, expected.mean)
        known = spread > 0
        residuals = (errors - expected.mean)[known] / spread[known]
        return cls(mean, size, square, residuals if known.any() else errors * 0)

    def expect(self, window: EncodedRows) -> ExpectedErrors:
        """Return the errors that are expected of the window's rows."""
        import numpy as np

        mean = self.mean.predict(window.inputs)
        size = np.maximum(self.size.predict(window.inputs), abs(mean))
        # No square is smaller, on average, than that of the average.
        square = np.maximum(self.square.predict(window.inputs), size**2)
        return ExpectedErrors(window.outputs, mean, size, square, self.residuals)


def _fit(inputs: NDArray[np.float32], target: NDArray[np.float64], seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        max_iter=60,
        learning_rate=0.1,
        max_leaf_nodes=8,
        min_samples_leaf=20,
        l2_regularization=1.0,
        early_stopping=False,
        max_bins=63,
        random_state=seed,
    ).fit(inputs, target)


def _spread(square: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    spread: NDArray[np.float64] = np.sqrt(np.maximum(square - mean**2, 0))
    return spread
