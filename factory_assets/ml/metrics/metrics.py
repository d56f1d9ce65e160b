"""Evaluation metrics: how well outputs agree with true values, one number per metric.

A metric that is undefined for the given rows, such as ROC AUC of a single class, is left out.
Reading files and running models belong elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from factory_assets.ml.metrics.coverage import INTERVAL_METRICS, SET_METRICS, CoveredRows
from factory_assets.ml.metrics.fairness import RateGroups, rate_difference, rate_ratio
from factory_assets.ml.metrics.reliability import ProbabilityBins, bin_by_probability
from factory_assets.spec.evaluate import LOWER_IS_BETTER, Asymmetry, Evaluate
from factory_assets.spec.train import Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


PRIMARY_METRIC: Mapping[Task, str] = {
    "binary": "average_precision",
    "multiclass": "balanced_accuracy",
    "regression": "rmse",
}
"""The primary metric of each task, if the declaration names none."""

DECISION_METRICS = frozenset({"accuracy", "balanced_accuracy", "f1", "precision", "recall"})
"""Metrics of predicted classes, which for two classes depend on the threshold."""

Compute = Callable[["ScoredRows"], Any]
"""Computes a metric; returns None if it is undefined."""


def higher_is_better(metric: str) -> bool:
    return metric not in LOWER_IS_BETTER


def metric_names(task: Task) -> tuple[str, ...]:
    """Return the metrics that a task can have."""
    return tuple(_METRICS[task])


def gate_metric_names(task: Task) -> tuple[str, ...]:
    """Return the metrics that a gate can have: those of sets and intervals too."""
    regions = INTERVAL_METRICS if task == "regression" else SET_METRICS
    return (*metric_names(task), *regions)


class DecisionCounts(NamedTuple):
    """How many rows there are of each class, int64 [classes]."""

    true: NDArray[np.int64]
    predicted: NDArray[np.int64]
    right: NDArray[np.int64]
    """Rows of a class for which it is predicted."""


@dataclass(frozen=True)
class ScoredRows:
    """The outputs of one model for some rows, with the true values."""

    task: Task
    truth: NDArray[Any]
    """Class codes, int64 [rows]; or numbers, float64 [rows]."""
    outputs: NDArray[Any]
    """Probabilities, float64 [rows, classes]; or predictions, float64 [rows]."""
    threshold: float = 0.5
    """Two classes: a row with at least this probability is predicted positive."""
    clip: float | None = None
    """Numbers: the upper limit to which `rmse_clipped` cuts true values."""
    asymmetry: Asymmetry | None = None
    """Numbers: the scales of `asymmetric_score`."""
    groups: RateGroups = field(default_factory=dict)
    """Two classes: the groups compared by the fairness metrics, by rate."""
    regions: CoveredRows | None = None
    """The sets or intervals of these rows; None if the model has none."""

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, rows: NDArray[Any]) -> ScoredRows:
        """Select rows by indices or by a mask [rows]."""
        groups = {
            rate: tuple(codes[rows] for codes in columns) for rate, columns in self.groups.items()
        }
        truth, outputs = self.truth[rows], self.outputs[rows]
        regions = self.regions and self.regions.take(rows)
        return replace(self, truth=truth, outputs=outputs, groups=groups, regions=regions)

    def as_declared(self, evaluate: Evaluate) -> ScoredRows:
        """Return the rows with the clip and asymmetry that `evaluate` declares."""
        clip = None if evaluate.clip is None else float(evaluate.clip)
        return replace(self, clip=clip, asymmetry=evaluate.asymmetry)

    def metrics(self, only: Collection[str] | None = None) -> dict[str, float]:
        """Return metric to value for the metrics in `only` (default: all) that are defined."""
        if not len(self):
            return {}
        names = [n for n in _METRICS[self.task] if only is None or n in only]
        values = {name: _METRICS[self.task][name](self) for name in names}
        if self.regions:
            found = self.regions.metrics(lambda: self.predicted == self.truth)
            values |= {n: value for n, value in found.items() if only is None or n in only}
        return {name: float(value) for name, value in values.items() if value is not None}

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The predicted class code of each row: by the threshold if there are two classes, else the
        most likely one."""
        if self.task == "binary":
            return (self.outputs[:, 1] >= self.threshold).astype("int64")
        codes: NDArray[np.int64] = self.outputs.argmax(axis=1)
        return codes

    @cached_property
    def decisions(self) -> DecisionCounts:
        import numpy as np

        classes = self.outputs.shape[1]
        right = self.truth[self.truth == self.predicted]
        return DecisionCounts(
            *(
                np.bincount(codes, minlength=classes)
                for codes in (self.truth, self.predicted, right)
            )
        )

    @cached_property
    def bins(self) -> ProbabilityBins:
        """The rows binned by the probability of the positive class, or of the most likely class."""
        if self.task == "binary":
            return bin_by_probability(self.outputs[:, 1], self.truth)
        return bin_by_probability(self.outputs.max(axis=1), self.truth == self.predicted)

    @cached_property
    def present(self) -> int:
        """The number of distinct true classes in these rows."""
        import numpy as np

        return int((np.bincount(self.truth) > 0).sum())


def normalise_probabilities(probabilities: NDArray[Any]) -> NDArray[np.float64]:
    """Rescale rows in float64 to sum to 1, as scikit-learn requires; float32 is too coarse.

    If all trees of a served forest agree, their votes may add up to more than 1, so that less than
    0 is left for the other class.
    """
    import numpy as np

    wide = np.asarray(probabilities, dtype=np.float64).clip(min=0)
    unit: NDArray[np.float64] = wide / wide.sum(axis=1, keepdims=True)
    return unit


def _average_precision(s: ScoredRows) -> Any:
    from sklearn.metrics import average_precision_score

    if s.present < s.outputs.shape[1]:
        return None
    is_binary = s.task == "binary"
    truth, scores = (s.truth, s.outputs[:, 1]) if is_binary else (_one_hot(s), s.outputs)
    # Its sum of rounded steps can exceed 1 by a rounding error.
    return min(1.0, average_precision_score(truth, scores, average="macro"))


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
    return s.bins.error


def _difference(rate: str) -> Compute:
    return lambda s: rate_difference(s.predicted, s.groups.get(rate, ()))


def _ratio(s: ScoredRows) -> Any:
    return rate_ratio(s.predicted, s.groups.get("selection_rate", ()))


def _accuracy(s: ScoredRows) -> Any:
    return s.decisions.right.sum() / len(s)


def _balanced_accuracy(s: ScoredRows) -> Any:
    """Mean recall of the classes present; None for one class, where it would equal accuracy."""
    return None if s.present < 2 else _by_class("recall", average=True)(s)


def _by_class(score: Literal["f1", "precision", "recall"], *, average: bool = False) -> Compute:
    """F1, precision or recall: of the positive class, or the mean over all classes that occur.

    They are counted here: scikit-learn, with the same values, takes forty times as long for a few
    rows. A class for which a score is undefined does not count.
    """

    def compute(s: ScoredRows) -> Any:
        import numpy as np

        true, predicted, right = s.decisions
        rows = {"f1": (true + predicted) / 2, "precision": predicted, "recall": true}[score]
        of_class = np.divide(right, rows, out=np.full(len(rows), np.nan), where=rows > 0)
        if s.task == "binary" and not average:
            of_class = of_class[1:]
        return None if np.isnan(of_class).all() else np.nanmean(of_class)

    return compute


def _rmse(s: ScoredRows) -> Any:
    """Root mean squared error, computed here as `_mae` is."""
    return ((s.outputs - s.truth) ** 2).mean() ** 0.5


def _rmse_clipped(s: ScoredRows) -> Any:
    if s.clip is None:
        return None
    return _rmse(replace(s, truth=s.truth.clip(max=s.clip)))


def _asymmetric_score(s: ScoredRows) -> Any:
    """Score of NASA's engine data; None on overflow.

    Source: A. Saxena et al., doi 10.1109/PHM.2008.4711414.
    """
    import numpy as np

    if s.asymmetry is None:
        return None
    late = s.outputs - s.truth
    with np.errstate(over="ignore"):
        cost = np.expm1(np.maximum(late / s.asymmetry.late, -late / s.asymmetry.early)).sum()
    return cost if np.isfinite(cost) else None


def _mae(s: ScoredRows) -> Any:
    """Mean absolute error; scikit-learn, with the same value, takes forty times as long."""
    return abs(s.outputs - s.truth).mean()


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
    "f1": _by_class("f1"),
    "precision": _by_class("precision"),
    "recall": _by_class("recall"),
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
