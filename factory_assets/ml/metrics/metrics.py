"""How well outputs agree with the truth: one number a metric, by scikit-learn. No files, no models.

A metric that is undefined on the given rows, such as ROC AUC on a single class, is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from factory_assets.ml.metrics.fairness import Members, difference, ratio
from factory_assets.ml.metrics.reliability import Binned, binned
from factory_assets.spec.evaluate import LOWER_IS_BETTER, Asymmetry
from factory_assets.spec.train import Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


HEADLINE: Mapping[Task, str] = {
    "binary": "average_precision",
    "multiclass": "balanced_accuracy",
    "regression": "rmse",
}
"""The metric that stands for all others where the declaration names none."""

Compute = Callable[["ScoredRows"], Any]
"""A metric as scikit-learn returns it; None where it is undefined."""


def higher_is_better(metric: str) -> bool:
    return metric not in LOWER_IS_BETTER


def metric_names(task: Task) -> tuple[str, ...]:
    """The metrics that a task can have."""
    return tuple(_METRICS[task])


@dataclass(frozen=True)
class ScoredRows:
    """What one model said of some rows, and what is true of them."""

    task: Task
    truth: NDArray[Any]
    """Class codes, int64 [rows]; or numbers, float64 [rows]."""
    outputs: NDArray[Any]
    """Probabilities, float64 [rows, classes]; or predictions, float64 [rows]."""
    threshold: float = 0.5
    """Two classes: the probability from which a row is positive."""
    clip: float | None = None
    """Numbers: where true values are cut for `rmse_clipped`."""
    asymmetry: Asymmetry | None = None
    """Numbers: the scales of `asymmetric_score`."""
    groups: Members = field(default_factory=dict)
    """Two classes: the groups that are compared, by rate."""

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, rows: NDArray[Any]) -> ScoredRows:
        """The same for some rows: indices, or a mask [rows]."""
        groups = {
            rate: tuple(codes[rows] for codes in columns) for rate, columns in self.groups.items()
        }
        return replace(self, truth=self.truth[rows], outputs=self.outputs[rows], groups=groups)

    def metrics(self, only: Collection[str] | None = None) -> dict[str, float]:
        """Metric to value, for those asked that these rows define."""
        if not len(self):
            return {}
        names = [n for n in _METRICS[self.task] if only is None or n in only]
        values = {name: _METRICS[self.task][name](self) for name in names}
        return {name: float(value) for name, value in values.items() if value is not None}

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The class code of each row: the likeliest, or by the threshold where there are two."""
        if self.task == "binary":
            return (self.outputs[:, 1] >= self.threshold).astype("int64")
        codes: NDArray[np.int64] = self.outputs.argmax(axis=1)
        return codes

    @cached_property
    def binned(self) -> Binned:
        """The rows by the probability of the positive class, or of the likeliest of several."""
        if self.task == "binary":
            return binned(self.outputs[:, 1], self.truth)
        return binned(self.outputs.max(axis=1), self.truth == self.predicted)

    @cached_property
    def present(self) -> int:
        """How many classes these rows truly hold."""
        import numpy as np

        return int((np.bincount(self.truth) > 0).sum())


def classification_metrics(
    truth_codes: NDArray[Any],
    probabilities: NDArray[Any],
    threshold: float | None,
    classes: Sequence[str],
) -> dict[str, float]:
    """Every defined metric of class probabilities.

    Args:
        truth_codes: int [rows], places in `classes`.
        probabilities: [rows, classes], rows sum to 1 up to the rounding of float32.
        threshold: of the second of two classes; None stands for 0.5.
        classes: the classes in the order of the outputs; two of them make the task binary.
    """
    task: Task = "binary" if len(classes) == 2 else "multiclass"
    cut = 0.5 if threshold is None else threshold
    return ScoredRows(task, truth_codes, unit_rows(probabilities), cut).metrics()


def regression_metrics(
    truth: NDArray[Any], prediction: NDArray[Any], clip: float | None
) -> dict[str, float]:
    """Every defined metric of predicted numbers, both [rows], in the unit of the target."""
    import numpy as np

    scored = ScoredRows(
        "regression", np.asarray(truth, float), np.asarray(prediction, float), clip=clip
    )
    return scored.metrics()


def unit_rows(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Float64 rows that sum to 1 more closely than float32 can, as scikit-learn asks."""
    import numpy as np

    wide = np.asarray(probabilities, dtype=np.float64)
    unit: NDArray[np.float64] = wide / wide.sum(axis=1, keepdims=True)
    return unit


def _average_precision(s: ScoredRows) -> Any:
    from sklearn.metrics import average_precision_score

    if s.task == "binary":
        return average_precision_score(s.truth, s.outputs[:, 1]) if s.present == 2 else None
    if s.present < s.outputs.shape[1]:
        return None
    return average_precision_score(_one_hot(s), s.outputs, average="macro")


def _roc_auc(s: ScoredRows) -> Any:
    from sklearn.metrics import roc_auc_score

    if s.present < s.outputs.shape[1]:
        return None
    if s.task == "binary":
        return roc_auc_score(s.truth, s.outputs[:, 1])
    return roc_auc_score(_one_hot(s), s.outputs, average="macro")


def _one_hot(s: ScoredRows) -> NDArray[np.int8]:
    import numpy as np

    hot: NDArray[np.int8] = (s.truth[:, None] == np.arange(s.outputs.shape[1])).astype(np.int8)
    return hot


def _log_loss(s: ScoredRows) -> Any:
    from sklearn.metrics import log_loss

    return log_loss(s.truth, s.outputs, labels=range(s.outputs.shape[1]))


def _brier(s: ScoredRows) -> Any:
    from sklearn.metrics import brier_score_loss

    return brier_score_loss(s.truth, s.outputs[:, 1], labels=[0, 1])


def _ece(s: ScoredRows) -> Any:
    return s.binned.error


def _difference(rate: str) -> Compute:
    return lambda s: difference(s.predicted, s.groups.get(rate, ()))


def _ratio(s: ScoredRows) -> Any:
    return ratio(s.predicted, s.groups.get("selection_rate", ()))


def _accuracy(s: ScoredRows) -> Any:
    from sklearn.metrics import accuracy_score

    return accuracy_score(s.truth, s.predicted)


def _balanced_accuracy(s: ScoredRows) -> Any:
    """The mean recall of the classes present; with one class it would only repeat the accuracy."""
    from sklearn.metrics import recall_score

    if s.present < 2:
        return None
    return recall_score(s.truth, s.predicted, labels=_labels(s), average="macro")


def _labels(s: ScoredRows) -> list[int]:
    import numpy as np

    return [int(code) for code in np.flatnonzero(np.bincount(s.truth))]


def _by_class(score: str) -> Compute:
    """F1, precision or recall: of the positive class, or the mean over all classes seen."""

    def compute(s: ScoredRows) -> Any:
        import numpy as np
        from sklearn import metrics

        average = "binary" if s.task == "binary" else "macro"
        compute = getattr(metrics, score)
        value = compute(s.truth, s.predicted, average=average, zero_division=np.nan)
        return None if np.isnan(value) else value

    return compute


def _rmse(s: ScoredRows) -> Any:
    from sklearn.metrics import root_mean_squared_error

    return root_mean_squared_error(s.truth, s.outputs)


def _rmse_clipped(s: ScoredRows) -> Any:
    if s.clip is None:
        return None
    return _rmse(replace(s, truth=s.truth.clip(max=s.clip)))


def _asymmetric_score(s: ScoredRows) -> Any:
    """Of NASA's engine data: A. Saxena et al., doi 10.1109/PHM.2008.4711414."""
    import numpy as np

    if s.asymmetry is None:
        return None
    late = s.outputs - s.truth
    with np.errstate(over="ignore"):
        cost = np.expm1(np.maximum(late / s.asymmetry.late, -late / s.asymmetry.early)).sum()
    return cost if np.isfinite(cost) else None


def _mae(s: ScoredRows) -> Any:
    from sklearn.metrics import mean_absolute_error

    return mean_absolute_error(s.truth, s.outputs)


def _r2(s: ScoredRows) -> Any:
    from sklearn.metrics import r2_score

    return r2_score(s.truth, s.outputs) if s.truth.min() < s.truth.max() else None


_SHARED: Mapping[str, Compute] = {
    "average_precision": _average_precision,
    "roc_auc": _roc_auc,
    "log_loss": _log_loss,
    "ece": _ece,
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _by_class("f1_score"),
    "precision": _by_class("precision_score"),
    "recall": _by_class("recall_score"),
}

_METRICS: Mapping[Task, Mapping[str, Compute]] = {
    "binary": {
        **_SHARED,
        "brier": _brier,
        "selection_rate_difference": _difference("selection_rate"),
        "selection_rate_ratio": _ratio,
        "equal_opportunity_difference": _difference("true_positive_rate"),
        "false_positive_rate_difference": _difference("false_positive_rate"),
    },
    "multiclass": _SHARED,
    "regression": {
        "rmse": _rmse,
        "mae": _mae,
        "r2": _r2,
        "rmse_clipped": _rmse_clipped,
        "asymmetric_score": _asymmetric_score,
    },
}
