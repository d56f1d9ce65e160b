"""Choose the decision threshold of two classes on rows that were held out.

Test rows never come here. Metrics at a threshold belong in `ml.metrics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from factory_assets.spec.threshold import (
    BestMetric,
    DecisionRule,
    ErrorCosts,
    Promise,
    PromisedRecall,
)
from factory_assets.spec.train import Task
from factory_resources.errors import DataError, DeclarationError

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
    which has no such threshold, the highest. A promise that no threshold keeps is kept as far as
    possible; `require_kept` refuses that.

    Args:
        truth: [validation rows], 1 for positive rows.
        scores: [validation rows], probability of the positive class.
    """
    import numpy as np

    if isinstance(rule, float | int):
        return float(rule)
    positives = int((truth == 1).sum())
    if isinstance(rule, BestMetric) and rule.maximise == "f1":
        return _best_f1(truth, scores, positives)
    if isinstance(rule, Promise):
        return _promised(rule, truth, scores, positives)
    false_alarm, miss = _costs(rule, positives, len(truth) - positives)
    ideal = false_alarm / (false_alarm + miss)
    if positives in (0, len(truth)):
        return ideal
    ranked, hits = _ranked(truth, scores)
    cost = false_alarm * (np.arange(len(hits)) - hits) + miss * (positives - hits)
    # Rows of equal score get the same decision: no threshold lies between them.
    possible = np.concatenate(([True], ranked[1:] != ranked[:-1], [True]))
    best = np.flatnonzero(possible & (cost == cost[possible].min()))
    above, below = np.append(2.0, ranked)[best], np.append(ranked, 0.0)[best]
    distance = np.maximum(np.maximum(below - ideal, ideal - above), 0.0)
    return _between(ranked, int(best[np.argmin(distance)]))


def require_kept(rule: DecisionRule, metrics: Mapping[str, float], rows: int) -> None:
    """Check that the chosen threshold keeps what was promised, on the rows that it was chosen on.

    Args:
        metrics: on the held-out rows.
        rows: how many they are.

    Raises:
        DataError: it does not, because no threshold does.
    """
    if not isinstance(rule, Promise):
        return
    [(name, promised)] = rule.model_dump().items()
    reached = metrics.get(name)
    if reached is None or reached < promised:
        best = "none of them is positive" if reached is None else f"the best reaches {reached:.3g}"
        raise DataError(
            f"no threshold keeps the promised {name} of {promised:g} on the {rows:,} held-out rows "
            f"and one more that is decided wrongly; {best}",
            where="train.threshold",
            remedy="promise less, or give more rows or better inputs",
        )


def _promised(
    rule: Promise, truth: NDArray[np.int64], scores: NDArray[np.float64], positives: int
) -> float:
    """Choose as if there were one more row, decided wrongly.

    The scores of the positive rows and of the next one are exchangeable, so that a recall is then
    kept on average, however few they are (V. Vovk et al., Algorithmic Learning in a Random World,
    2005). Simulated with 60 rows, 30 % positive, a promised recall of .9 is .88 on new rows without
    that row and .93 with it; a precision of .7 is kept in 53 % of the trainings and in 65 %.
    """
    import numpy as np

    if not positives:
        return 0.5
    ranked, hits = _ranked(truth, scores)
    predicted, hits = np.arange(1, len(hits)), hits[1:]
    last_of_equals = np.append(ranked[1:] != ranked[:-1], True)
    precision, recall = hits / predicted, hits / positives
    if isinstance(rule, PromisedRecall):
        promised, kept, other = rule.recall, hits / (positives + 1), precision
    else:
        promised, kept, other = rule.precision, hits / (predicted + 1), recall
    kept = np.where(last_of_equals, kept, -1.0)
    good = kept >= min(promised, kept.max())
    # Of those with an equal other metric, the one that keeps more.
    best = np.lexsort((kept, np.where(good, other, -1.0)))[-1]
    return _between(ranked, int(best) + 1)


def _best_f1(truth: NDArray[np.int64], scores: NDArray[np.float64], positives: int) -> float:
    import numpy as np

    if not positives:
        return 0.5
    ranked, hits = _ranked(truth, scores)
    f1 = 2 * hits[1:] / (np.arange(1, len(hits)) + positives)
    last_of_equals = np.append(ranked[1:] != ranked[:-1], True)
    return _between(ranked, int(np.argmax(np.where(last_of_equals, f1, -1.0))) + 1)


def _costs(rule: BestMetric | ErrorCosts, positives: int, negatives: int) -> tuple[float, float]:
    """Return what a false alarm and a missed positive row cost.

    Accuracy counts both alike. Balanced accuracy counts each class as a whole; in whole numbers,
    equal ones are exactly equal.
    """
    if isinstance(rule, ErrorCosts):
        return rule.false_positive, rule.false_negative
    if rule.maximise == "balanced_accuracy" and positives and negatives:
        return positives, negatives
    return 1, 1


def _ranked(
    truth: NDArray[np.int64], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the scores from the highest, and how many of the first 0, 1, … rows are positive."""
    import numpy as np

    order = np.argsort(-scores, kind="stable")
    return scores[order], np.concatenate(([0], np.cumsum(truth[order] == 1)))


def _between(ranked: NDArray[np.float64], count: int) -> float:
    """Return the threshold that predicts the first `count` rows positive."""
    # Above a probability of 1 no row is positive.
    highest = 2.0 if ranked[0] >= 1 else 1.0
    above = ranked[count - 1] if count else highest
    below = ranked[count] if count < len(ranked) else 0.0
    return float((above + below) / 2)
