"""The metrics of predicted classes that are expected if each row has its class with some chance.

How the chances are found belongs in `estimation.py`; the formulas of metrics in `ml/metrics/`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from factory_assets.ml.metrics.metrics import DECISION_METRICS, ScoredRows
from factory_assets.ml.metrics.ranking import RANKING_METRICS, Ranking
from factory_assets.spec.train import Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ExpectedClasses:
    """The outputs of a window, and the chance of each row to be of each class."""

    task: Task
    outputs: NDArray[np.float64]
    """[rows, classes]: the probabilities that the model gave, by which it decides and ranks."""
    chances: NDArray[np.float64]
    """[rows, classes]: the probabilities that are believed; rows sum to 1."""
    threshold: float

    def __len__(self) -> int:
        return len(self.outputs)

    def take(self, rows: NDArray[Any]) -> ExpectedClasses:
        """Select rows by their indices [rows]."""
        return replace(self, outputs=self.outputs[rows], chances=self.chances[rows])

    def metrics(self, names: Collection[str]) -> dict[str, float]:
        """Return the named metrics as if each row were of every class, counted by its chance."""
        if not len(self):
            return {}
        decided = self._decided(DECISION_METRICS & {*names})
        ranked = self._ranked(RANKING_METRICS.keys() & names)
        measured = {"log_loss": self._log_loss, "brier": self._brier}
        others = {name: compute() for name, compute in measured.items() if name in names}
        return decided | ranked | others

    def draw(self, generator: np.random.Generator) -> ExpectedClasses:
        """Draw a class of each row, and return the window in which this class is certain."""
        beyond = self.chances.cumsum(axis=1) < generator.random((len(self), 1))
        return self.known(beyond[:, :-1].sum(axis=1))

    def known(self, truth: NDArray[np.int64]) -> ExpectedClasses:
        """Return the window in which each row has this class, [rows]."""
        import numpy as np

        return replace(self, chances=np.eye(self.chances.shape[1])[truth])

    @cached_property
    def _predicted(self) -> NDArray[np.int64]:
        return ScoredRows(self.task, self.chances, self.outputs, self.threshold).predicted

    def _decided(self, names: Collection[str]) -> dict[str, float]:
        """Return metrics of the predicted classes: those of `ml.metrics`, of expected counts."""
        import numpy as np

        if not names:
            return {}
        classes = self.chances.shape[1]
        # [true, predicted]: many draws are counted, and scikit-learn's checks cost 10 times more.
        counts: NDArray[Any] = np.stack(
            [np.bincount(self._predicted, chance, classes) for chance in self.chances.T]
        )
        hits, true, predicted = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
        shares = {
            "precision": _shares(hits, predicted),
            "recall": _shares(hits, true),
            "f1": _shares(2 * hits, true + predicted),
        }
        of = slice(1, None) if self.task == "binary" else slice(None)
        values = {name: _mean(each[of]) for name, each in shares.items()}
        values["accuracy"] = float(hits.sum() / len(self))
        if (true > 0).sum() > 1:
            values["balanced_accuracy"] = _mean(shares["recall"])
        return {n: values[n] for n in names if n in values and not np.isnan(values[n])}

    def _ranked(self, names: Collection[str]) -> dict[str, float]:
        """Return ranking metrics: of the positive class, or the mean over all classes."""
        if not names:
            return {}
        classes = [1] if self.task == "binary" else range(self.outputs.shape[1])
        each = [self._ranked_class(code, names) for code in classes]
        if not all(each):
            return {}
        return {name: sum(one[name] for one in each) / len(each) for name in names}

    def _ranked_class(self, code: int, names: Collection[str]) -> dict[str, float]:
        """Rank every row twice: with its chance to be of the class, and to be of another."""
        import numpy as np

        order = (-self.outputs[:, code]).argsort(kind="stable")
        chance = self.chances[order, code]
        counts: NDArray[Any] = np.stack([chance, 1 - chance], axis=1).ravel()
        positive = np.tile([True, False], len(order))
        ranking = Ranking(positive, np.repeat(self.outputs[order, code], 2))
        return ranking.metrics(counts, names)

    def _log_loss(self) -> float:
        import numpy as np

        sure = np.finfo(np.float64).eps
        losses = -np.log(self.outputs.clip(sure, 1 - sure))
        return float((losses * self.chances).sum() / len(self))

    def _brier(self) -> float:
        chance, output = self.chances[:, 1], self.outputs[:, 1]
        return float((chance * (1 - output) ** 2 + (1 - chance) * output**2).mean())


def _shares(hits: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float64]:
    """Return hits / rows, NaN for classes without rows."""
    import numpy as np

    return np.where(rows > 0, hits / np.where(rows > 0, rows, 1), np.nan)


def _mean(shares: NDArray[np.float64]) -> float:
    """Return the mean over the classes that have a share, NaN if none has."""
    import numpy as np

    return float(shares[~np.isnan(shares)].mean()) if not np.isnan(shares).all() else float("nan")


def expect_classes(
    reference: NDArray[np.float64],
    truth: NDArray[np.int64],
    weights: NDArray[np.float64],
    outputs: NDArray[np.float64],
    threshold: float,
) -> ExpectedClasses:
    """Calibrate outputs of a window on reference rows that are weighted to resemble it.

    Source: Białek et al., Estimating model performance under covariate shift without labels
    (2024), arXiv 2401.08348.

    Args:
        reference: the probabilities of reference rows, [reference rows, classes].
        truth: class codes, [reference rows].
        weights: [reference rows].
        outputs: the probabilities of the window's rows, [rows, classes].
    """
    import numpy as np

    classes = outputs.shape[1]
    if classes == 2:
        positive = _calibrate(reference[:, 1], truth == 1, weights, outputs[:, 1])
        return ExpectedClasses(
            "binary", outputs, np.stack([1 - positive, positive], axis=1), threshold
        )
    chances = np.stack(
        [
            _calibrate(reference[:, code], truth == code, weights, outputs[:, code])
            for code in range(classes)
        ],
        axis=1,
    )
    # Each class was calibrated on its own: a row may have none that is believed possible.
    total = chances.sum(axis=1, keepdims=True)
    chances = np.where(total > 0, chances / np.where(total > 0, total, 1), outputs)
    return ExpectedClasses("multiclass", outputs, chances, threshold)


def _calibrate(
    reference: NDArray[np.float64],
    occurred: NDArray[np.bool_],
    weights: NDArray[np.float64],
    outputs: NDArray[np.float64],
) -> NDArray[np.float64]:
    from sklearn.isotonic import IsotonicRegression

    curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    calibrated: NDArray[np.float64] = curve.fit(reference, occurred, weights).predict(outputs)
    return calibrated
