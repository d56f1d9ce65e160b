"""Calibration: a correction of predicted probabilities, fitted on the validation rows.

A calibration is two numbers, so that it can be stored as JSON and becomes a few nodes of the ONNX
graph. Measuring the quality of probabilities belongs in `ml/metrics/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from factory_assets.results.base import StageResult
from factory_assets.spec.train import Calibrate, Task
from factory_resources.errors import DeclarationError

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray


FLOOR = 1e-5
"""Added to a probability before its logarithm: log(0) is avoided, and last digits do not matter."""

SLOPES = (0.05, 20.0)
"""Bounds of the slope: for few rows or perfectly separated classes the best fit is unbounded."""

SHIFT = 20.0
"""Bound of the absolute shift, for the same reason."""

MIN_ROWS, FOLDS = 50, 5
"""Below 50 validation rows, or 5 of a class, `auto` does not calibrate; else 5 folds decide."""

Method = Literal["temperature", "platt"]


class Calibration(StageResult):
    """`softmax(slope * log(p + FLOOR) + shift)`; the shift applies to the last class only."""

    method: Method
    slope: float
    """1 / temperature; below 1 makes probabilities less extreme. Positive, so the order stays."""
    shift: float = 0.0
    """Always 0 for `temperature`."""

    def apply(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrate probabilities [rows, classes]; the result has the same shape."""
        import numpy as np

        scores = _logs(probabilities) * self.slope
        scores[:, -1] += self.shift
        calibrated: NDArray[np.float64] = np.exp(_log_softmax(scores))
        return calibrated

    def nodes(
        self, before: str, after: str, classes: int
    ) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
        """Return the ONNX nodes that compute `apply` in double precision, and their constants.

        Args:
            before: the name of the tensor with the probabilities of the model.
            after: the name of the tensor with the calibrated probabilities.
            classes: the number of classes.
        """
        import numpy as np
        from onnx import TensorProto, helper, numpy_helper

        shifts = np.zeros(classes)
        shifts[-1] = self.shift
        constants = {"_floor": np.array(FLOOR), "_slope": np.array(self.slope), "_shifts": shifts}
        node = helper.make_node
        nodes = [
            node("Cast", [before], ["_exact"], to=TensorProto.DOUBLE),
            node("Add", ["_exact", "_floor"], ["_floored"]),
            node("Log", ["_floored"], ["_logs"]),
            node("Mul", ["_logs", "_slope"], ["_sloped"]),
            node("Add", ["_sloped", "_shifts"], ["_shifted"]),
            node("Softmax", ["_shifted"], ["_calibrated"], axis=1),
            node("Cast", ["_calibrated"], [after], to=TensorProto.FLOAT),
        ]
        return nodes, [numpy_helper.from_array(value, name) for name, value in constants.items()]


def require_calibrable(requested: Calibrate, task: Task) -> None:
    """Check that the requested calibration fits the task.

    Raises:
        DeclarationError: if it does not.
    """
    if requested == "none":
        return
    if task == "regression":
        raise DeclarationError(
            "a regression target has no probabilities to calibrate",
            where="train.calibrate",
            remedy="remove train.calibrate, or set train.task",
        )
    if requested == "platt" and task != "binary":
        raise DeclarationError(
            "platt needs exactly two classes",
            where="train.calibrate",
            remedy="choose temperature or auto",
        )


def fit_calibration(
    requested: Calibrate, truth: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> Calibration | None:
    """Fit the requested calibration on validation rows.

    Args:
        requested: the declared method; `auto` chooses one by cross-validation, or none.
        truth: class codes [rows].
        probabilities: the model's probabilities for these rows, [rows, classes].

    Returns:
        The calibration, or None if probabilities are to stay as they are.
    """
    match requested:
        case "none":
            return None
        case "auto":
            method = _best_method(truth, probabilities)
            return fit_method(method, truth, probabilities) if method else None
        case _:
            return fit_method(requested, truth, probabilities)


def fit_method(
    method: Method, truth: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> Calibration:
    """Fit a calibration by maximum likelihood.

    `platt` uses Platt's smoothed targets, which are never exactly 0 or 1.
    """
    import numpy as np
    from scipy.optimize import minimize

    logs, classes = _logs(probabilities), probabilities.shape[1]
    targets = np.eye(classes)[truth]
    if method == "platt":
        positives = int((truth == 1).sum())
        high, low = (positives + 1) / (positives + 2), 1 / (len(truth) - positives + 2)
        chance = np.where(truth == 1, high, low)
        targets = np.stack([1 - chance, chance], axis=1)
    shifted = method == "platt"

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = logs * parameters[0]
        if shifted:
            scores[:, -1] += parameters[1]
        log_probabilities = _log_softmax(scores)
        errors = np.exp(log_probabilities) - targets
        gradient = [(errors * logs).sum(axis=1).mean(), *([errors[:, -1].mean()] * shifted)]
        return float(-(targets * log_probabilities).sum(axis=1).mean()), np.array(gradient)

    bounds = [SLOPES, *([(-SHIFT, SHIFT)] * shifted)]
    start = np.array([1.0, *([0.0] * shifted)])
    options = {"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9}
    fitted = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options).x
    return Calibration(
        method=method, slope=float(fitted[0]), shift=float(fitted[1]) if shifted else 0.0
    )


def _best_method(truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Method | None:
    """Return the method that lowers the cross-validated loss most, by more than a standard error.

    None if no method does, or if there are too few rows.
    """
    import numpy as np

    classes = probabilities.shape[1]
    if len(truth) < MIN_ROWS or np.bincount(truth, minlength=classes).min() < FOLDS:
        return None
    methods: tuple[Method, ...] = ("temperature", "platt") if classes == 2 else ("temperature",)
    folds = _folds(truth)
    best: Method | None = None
    best_gain = 0.0
    for method in methods:
        after = np.empty_like(probabilities)
        for fold in range(FOLDS):
            fitting, held_out = folds != fold, folds == fold
            after[held_out] = fit_method(method, truth[fitting], probabilities[fitting]).apply(
                probabilities[held_out]
            )
        gains = _losses(truth, probabilities) - _losses(truth, after)
        error = float(gains.std(ddof=1)) / len(gains) ** 0.5
        if gains.mean() > max(best_gain, error):
            best, best_gain = method, float(gains.mean())
    return best


def _folds(truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the fold of each row; the rows of each class go to the folds in turn."""
    import numpy as np

    folds = np.empty(len(truth), dtype=np.int64)
    for code in np.unique(truth):
        rows = np.flatnonzero(truth == code)
        folds[rows] = np.arange(len(rows)) % FOLDS
    return folds


def _losses(truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    losses: NDArray[np.float64] = -_logs(probabilities)[np.arange(len(truth)), truth]
    return losses


def _logs(probabilities: NDArray[np.float64]) -> NDArray[Any]:
    import numpy as np

    logs: NDArray[Any] = np.log(probabilities + FLOOR)
    return logs


def _log_softmax(scores: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    scores = scores - scores.max(axis=1, keepdims=True)
    result: NDArray[Any] = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return result
