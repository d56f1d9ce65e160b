"""Probabilities that mean what they say: corrected by what became of the validation rows.

A correction is two numbers, so that it is kept as JSON and becomes a few nodes of the ONNX graph.
How good probabilities are is measured in `metrics.py`.
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
"""Added to a probability before its logarithm: 0 has none, and the last digits decide nothing."""

SLOPES = (0.05, 20.0)

SHIFT = 20.0
"""Bounds: on few rows, or classes that never mix, the best correction would be without end."""

FEWEST, FOLDS = 50, 5
"""Below so many validation rows `auto` leaves probabilities alone; else it is decided by folds."""

Method = Literal["temperature", "platt"]


class Calibration(StageResult):
    """`softmax(slope * log(p + FLOOR) + shift)`, the shift being that of the last class alone."""

    method: Method
    slope: float
    """1 / temperature: below 1 it makes probabilities less extreme. Above 0: order stays."""
    shift: float = 0.0
    """0 for `temperature`."""

    def apply(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """[rows, classes] to the same."""
        import numpy as np

        scores = _logs(probabilities) * self.slope
        scores[:, -1] += self.shift
        found: NDArray[np.float64] = np.exp(_log_softmax(scores))
        return found

    def nodes(
        self, before: str, after: str, classes: int
    ) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
        """The same in ONNX, from one name to another, and its constants; in double, as here."""
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


def require_calibrable(wanted: Calibrate, task: Task) -> None:
    """Raises DeclarationError when the task has no such probabilities."""
    if wanted == "none":
        return
    if task == "regression":
        raise DeclarationError(
            "numbers have no probabilities to calibrate",
            where="train.calibrate",
            remedy="leave it out, or set train.task",
        )
    if wanted == "platt" and task != "binary":
        raise DeclarationError(
            "platt is for two classes",
            where="train.calibrate",
            remedy="choose temperature or auto",
        )


def fit_calibration(
    wanted: Calibrate, truth: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> Calibration | None:
    """The correction under which validation rows were likeliest; None where there is to be none.

    Args:
        truth: class codes [rows].
        probabilities: [rows, classes], what the model says of these rows.
    """
    match wanted:
        case "none":
            return None
        case "auto":
            method = _best_method(truth, probabilities)
            return fit_method(method, truth, probabilities) if method else None
        case _:
            return fit_method(wanted, truth, probabilities)


def fit_method(
    method: Method, truth: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> Calibration:
    """By maximum likelihood; of `platt` with Platt's targets, which are never quite 0 and 1."""
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

    def loss(numbers: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = logs * numbers[0]
        if shifted:
            scores[:, -1] += numbers[1]
        said = _log_softmax(scores)
        errors = np.exp(said) - targets
        gradient = [(errors * logs).sum(axis=1).mean(), *([errors[:, -1].mean()] * shifted)]
        return float(-(targets * said).sum(axis=1).mean()), np.array(gradient)

    bounds = [SLOPES, *([(-SHIFT, SHIFT)] * shifted)]
    start = np.array([1.0, *([0.0] * shifted)])
    options = {"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9}
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options).x
    return Calibration(
        method=method, slope=float(found[0]), shift=float(found[1]) if shifted else 0.0
    )


def _best_method(truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> Method | None:
    """The one that lowers the loss of rows that it was not fitted on, by more than a standard
    error; None where neither does."""
    import numpy as np

    classes = probabilities.shape[1]
    if len(truth) < FEWEST or np.bincount(truth, minlength=classes).min() < FOLDS:
        return None
    methods: tuple[Method, ...] = ("temperature", "platt") if classes == 2 else ("temperature",)
    folds = _folds(truth)
    best: Method | None = None
    most = 0.0
    for method in methods:
        after = np.empty_like(probabilities)
        for fold in range(FOLDS):
            kept, held = folds != fold, folds == fold
            after[held] = fit_method(method, truth[kept], probabilities[kept]).apply(
                probabilities[held]
            )
        gains = _losses(truth, probabilities) - _losses(truth, after)
        error = float(gains.std(ddof=1)) / len(gains) ** 0.5
        if gains.mean() > max(most, error):
            best, most = method, float(gains.mean())
    return best


def _folds(truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """[rows]: each class dealt out to the folds, as its rows stand."""
    import numpy as np

    folds = np.empty(len(truth), dtype=np.int64)
    for code in np.unique(truth):
        places = np.flatnonzero(truth == code)
        folds[places] = np.arange(len(places)) % FOLDS
    return folds


def _losses(truth: NDArray[np.int64], probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    found: NDArray[np.float64] = -_logs(probabilities)[np.arange(len(truth)), truth]
    return found


def _logs(probabilities: NDArray[np.float64]) -> NDArray[Any]:
    import numpy as np

    found: NDArray[Any] = np.log(probabilities + FLOOR)
    return found


def _log_softmax(scores: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    scores = scores - scores.max(axis=1, keepdims=True)
    found: NDArray[Any] = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return found
