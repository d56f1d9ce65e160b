"""Choose the decision threshold of two classes on the validation rows.

Test rows never come here. Metrics at a threshold belong in `ml.metrics`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from factory_assets.spec.threshold import BestMetric, DecisionRule, ErrorCosts
from factory_assets.spec.train import Task
from factory_resources.errors import DeclarationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def require_decision(declared: DecisionRule | None, task: Task) -> None:
    """Check that a declared threshold fits the task.

    Raises:
        DeclarationError: the task does not decide between two classes.
    """
    if declared is not None and task != "binary":
        raise DeclarationError(
            f"only a decision between two classes has a threshold; this target is {task}",
            where="train.threshold",
            remedy="leave it out, or set train.task",
        )


def choose_threshold(
    rule: DecisionRule, truth: NDArray[np.int64], scores: NDArray[np.float64]
) -> float:
    """Return the probability from which a row is predicted positive.

    It lies halfway between two scores, so that rounding of a score does not change a decision. Of
    equally good ones it is that closest to the best threshold of exact probabilities, or for F1,
    which has no such threshold, the highest.

    Args:
        truth: [validation rows], 1 for positive rows.
        scores: [validation rows], probability of the positive class.
    """
    import numpy as np

    if not isinstance(rule, BestMetric | ErrorCosts):
        return float(rule)
    positives = int((truth == 1).sum())
    ideal = _ideal(rule, positives / len(truth))
    by_f1 = isinstance(rule, BestMetric) and rule.maximise == "f1"
    if not positives or (positives == len(truth) and not by_f1):
        return ideal
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    hits = np.concatenate(([0], np.cumsum(truth[order] == 1)))
    gain = _gain(rule, hits, positives)
    # Rows of equal score get the same decision: no threshold lies between them.
    possible = np.concatenate(([not by_f1], ranked[1:] != ranked[:-1], [True]))
    best = np.flatnonzero(possible & (gain == gain[possible].max()))
    if by_f1:
        return _between(ranked, int(best[0]))
    above, below = np.append(2.0, ranked)[best], np.append(ranked, 0.0)[best]
    distance = np.maximum(np.maximum(below - ideal, ideal - above), 0.0)
    return _between(ranked, int(best[np.argmin(distance)]))


def _ideal(rule: BestMetric | ErrorCosts, share: float) -> float:
    """Return the best threshold if the scores were exact probabilities; .5 if that is unknown.

    Args:
        share: of the positive rows.
    """
    if isinstance(rule, ErrorCosts):
        return rule.false_positive / (rule.false_positive + rule.false_negative)
    return share if rule.maximise == "balanced_accuracy" and 0 < share < 1 else 0.5


def _gain(rule: BestMetric | ErrorCosts, hits: NDArray[np.int64], positives: int) -> NDArray[Any]:
    """Return how good it is to predict the first 0, 1, … rows positive.

    Args:
        hits: [rows + 1]: how many of those are positive.
    """
    import numpy as np

    taken = np.arange(len(hits))
    negatives = len(hits) - 1 - positives
    wrong, missed = taken - hits, positives - hits
    gain: NDArray[Any]
    if isinstance(rule, ErrorCosts):
        gain = -(rule.false_positive * wrong + rule.false_negative * missed)
    elif rule.maximise == "f1":
        gain = 2 * hits / (taken + positives)
    elif rule.maximise == "accuracy":
        gain = -(wrong + missed)
    else:
        # Balanced accuracy, times a constant, in whole numbers: equal ones are exactly equal.
        gain = hits * negatives + (negatives - wrong) * positives
    return gain


def _between(ranked: NDArray[np.float64], count: int) -> float:
    """Return the threshold that predicts the first `count` rows positive."""
    # Above a probability of 1 no row is positive.
    highest = 2.0 if ranked[0] >= 1 else 1.0
    above = ranked[count - 1] if count else highest
    below = ranked[count] if count < len(ranked) else 0.0
    return float((above + below) / 2)
