"""Choose the decision threshold of two classes on the validation rows.

Test rows never come here. Metrics at a threshold belong in `ml.metrics`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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

DRAWS = 50
"""How often rows are drawn anew for the mean threshold; with 200, it was not better."""

CERTAIN = 1e-6
"""Thresholds nearer to 0 or 1 count as this one: of 0 and 1, there are no log odds."""


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

    Where the best one is wanted, it is the mean, in log odds, of those that are best for the rows
    and for rows drawn from them (bagging; L. Breiman, 1996): the best one for the rows alone hangs
    on few of them. `python -m benchmarks.thresholds` measures what that changes on new rows.

    Args:
        truth: [validation rows], 1 for positive rows.
        scores: [validation rows], probability of the positive class.
    """
    import numpy as np

    best = best_threshold(rule, truth, scores)
    is_one_class = len(np.unique(truth)) == 1
    if isinstance(rule, float | int | Promise) or is_one_class or best > 1:
        return best
    order = np.argsort(-scores, kind="stable")
    truth, scores = truth[order], scores[order]
    # Between two scores all thresholds are alike. The midpoint may be far from both.
    found = [_best(rule, truth, scores).ideal]
    found += [_best(rule, truth[drawn], scores[drawn]).ideal for drawn in _draws(truth)]
    possible = np.clip(found, CERTAIN, 1 - CERTAIN)
    mean = 1 / (1 + np.exp(-np.log(possible / (1 - possible)).mean()))
    gap = _gap(scores, int((scores >= mean).sum()))
    # In the middle half between two scores, rounding of a score does not change a decision.
    quarter = (gap.above - gap.below) / 4
    return float(np.clip(mean, gap.below + quarter, gap.above - quarter))


def best_threshold(
    rule: DecisionRule, truth: NDArray[np.int64], scores: NDArray[np.float64]
) -> float:
    """Return the threshold that is the best one for these rows.

    It lies halfway between two scores, so that rounding of a score does not change a decision. Of
    equally good ones it is that closest to the best threshold of exact probabilities, or for F1
    the highest. A promise that no threshold keeps is kept as far as possible; `require_kept`
    refuses that.

    Args:
        truth: [validation rows], 1 for positive rows.
        scores: [validation rows], probability of the positive class.
    """
    if isinstance(rule, float | int):
        return float(rule)
    if isinstance(rule, Promise):
        return _promised(rule, truth, scores, int((truth == 1).sum()))
    return _best(rule, truth, scores).middle


@dataclass(frozen=True)
class _Gap:
    """Neighbouring scores, between which all thresholds decide alike."""

    below: float
    above: float
    exact: float
    """The best threshold of exact probabilities."""

    @property
    def middle(self) -> float:
        return (self.below + self.above) / 2

    @property
    def ideal(self) -> float:
        """The threshold in the gap that is closest to the best one of exact probabilities."""
        return min(max(self.exact, self.below), self.above)


def _best(
    rule: BestMetric | ErrorCosts, truth: NDArray[np.int64], scores: NDArray[np.float64]
) -> _Gap:
    import numpy as np

    positives = int((truth == 1).sum())
    if isinstance(rule, BestMetric) and rule.maximise == "f1":
        return _best_f1(truth, scores, positives)
    false_alarm, miss = _costs(rule, positives, len(truth) - positives)
    exact = false_alarm / (false_alarm + miss)
    if positives in (0, len(truth)):
        return _Gap(exact, exact, exact)
    ranked, hits = _ranked(truth, scores)
    cost = false_alarm * (np.arange(len(hits)) - hits) + miss * (positives - hits)
    # Rows of equal score get the same decision: no threshold lies between them.
    possible = np.concatenate(([True], ranked[1:] != ranked[:-1], [True]))
    best = np.flatnonzero(possible & (cost == cost[possible].min()))
    above, below = np.append(2.0, ranked)[best], np.append(ranked, 0.0)[best]
    distance = np.maximum(np.maximum(below - exact, exact - above), 0.0)
    return _gap(ranked, int(best[np.argmin(distance)]), exact)


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
        best = "none of them is positive" if reached is None else f"the surest has {reached:.3g}"
        raise DataError(
            f"no threshold surely has a {name} of {promised:g}, by the {rows:,} held-out rows and "
            f"one more that is decided wrongly; {best}",
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
    return _gap(ranked, int(best) + 1).middle


def _best_f1(truth: NDArray[np.int64], scores: NDArray[np.float64], positives: int) -> _Gap:
    """Return where F1 is best; of exact probabilities, that is from half of the best F1 on.

    Source: Z. C. Lipton, C. Elkan and B. Naryanaswamy, Optimal thresholding of classifiers to
    maximize F1 measure, 2014, doi:10.1007/978-3-662-44851-9_15.
    """
    import numpy as np

    if not positives:
        return _Gap(0.5, 0.5, 0.5)
    ranked, hits = _ranked(truth, scores)
    f1 = 2 * hits[1:] / (np.arange(1, len(hits)) + positives)
    last_of_equals = np.append(ranked[1:] != ranked[:-1], True)
    best = int(np.argmax(np.where(last_of_equals, f1, -1.0)))
    return _gap(ranked, best + 1, float(f1[best]) / 2)


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


def _gap(ranked: NDArray[np.float64], count: int, exact: float = 0.5) -> _Gap:
    """Return the gap in which a threshold predicts the first `count` rows positive."""
    # Above a probability of 1 no row is positive.
    highest = 2.0 if ranked[0] >= 1 else 1.0
    above = ranked[count - 1] if count else highest
    below = ranked[count] if count < len(ranked) else 0.0
    return _Gap(float(below), float(above), exact)


def _draws(truth: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield positions of as many rows as there are, drawn with replacement, in their order."""
    import numpy as np

    chance = np.random.default_rng(0)
    for _ in range(DRAWS):
        drawn = np.sort(chance.integers(len(truth), size=len(truth)))
        # A single class says nothing about a threshold.
        if 0 < int((truth[drawn] == 1).sum()) < len(drawn):
            yield drawn
