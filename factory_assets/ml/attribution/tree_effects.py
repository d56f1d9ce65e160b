"""Effects of training rows on the outputs of trees, through the leaves that rows share.

The outputs are probabilities or numbers. The trees are taken as they are: what a row changes in
them as long as no split changes.

- Forest: a tree predicts the mean of a leaf, so that a row of the leaf moves it by its difference
  from what is predicted, over the number of rows there. The difference is taken from the prediction
  of the whole forest, because rows alone in their leaf would not differ from that of their tree.
- Boosting: a leaf adds a Newton step, the sum of gradients over that of curvatures; a row moves it
  by its own gradient. Trees of several models that are averaged count as one sequence. This is
  BoostIn: J. Brophy, Z. Hammoudeh and D. Lowd, Adapting and evaluating
  influence-estimation methods for gradient-boosted decision trees, JMLR 24 (2023), 154.
  A leaf that lowers the absolute error adds the median of what is missing in its rows. There, a
  row counts as that median plus its influence on it, as if what is missing beside the median were
  Laplace distributed, of which the absolute error is the likelihood: the mean distance to the
  median, with the sign of the row (P. Huber, Robust Statistics, 1981, chapter 3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from factory_assets.ml.attribution.leaves import BoostedLeaves, Trees
from factory_assets.ml.features.arrays import Arrays, LabelledArrays

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


TINY = 1e-12


@dataclass(frozen=True)
class JudgedOutputs:
    """Rows, and what the model says of them."""

    inputs: Arrays
    outputs: NDArray[np.float64]
    """As of `Model.outputs`."""
    classes: NDArray[np.int64] | None
    """[rows], the class whose probability is the output; None for a number."""


def tree_effects(
    trees: Trees, training: LabelledArrays, weights: NDArray[np.float64], judged: JudgedOutputs
) -> NDArray[np.float64]:
    """[judged, training rows]: by how much each training row raises the output.

    Args:
        weights: [training rows], how much each counts.
    """
    known, own = trees.leaves(training.inputs), trees.leaves(judged.inputs)
    if trees.boosted:
        return _boosted(trees.boosted, known, own, training.target, weights, judged)
    return _forest(known, own, training.target, weights, judged)


def _forest(
    known: NDArray[np.int64],
    own: NDArray[np.int64],
    target: NDArray[Any],
    weights: NDArray[np.float64],
    judged: JudgedOutputs,
) -> NDArray[np.float64]:
    import numpy as np

    counts = np.broadcast_to(weights[:, None], known.shape)
    share = 1 / (leaf_sums(known, counts, own).clip(TINY) * known.shape[1])
    if judged.classes is None:
        difference = target - judged.outputs[:, None]
    else:
        predicted = judged.outputs[np.arange(len(own)), judged.classes]
        difference = (target == judged.classes[:, None]) - predicted[:, None]
    moved: NDArray[np.float64] = paired(own, share, known, counts) * difference
    return moved


def _boosted(
    boosted: BoostedLeaves,
    known: NDArray[np.int64],
    own: NDArray[np.int64],
    target: NDArray[Any],
    weights: NDArray[np.float64],
    judged: JudgedOutputs,
) -> NDArray[np.float64]:
    import numpy as np

    slopes, rate = _output_slopes(judged), 0.0
    scores = slopes.shape[1]
    effects = np.zeros((len(own), len(known)))
    for number, fitted in enumerate(_rounds(boosted, known, target, weights, scores)):
        trees = slice(number * scores, (number + 1) * scores)
        if number == 0:
            rate = _rate(fitted, known[:, trees])
        sums = leaf_sums(known[:, trees], fitted.curvatures, own[:, trees])
        steps = rate * slopes / sums.clip(TINY)
        effects += paired(own[:, trees], steps, known[:, trees], -fitted.gradients)
    return effects


@dataclass(frozen=True)
class _Round:
    """What the trees of a round were fitted to, one for each score, and what they added."""

    gradients: NDArray[np.float64]
    """[training rows, scores]: of the loss by the scores."""
    curvatures: NDArray[np.float64]
    """[training rows, scores]: the second derivative."""
    added: NDArray[np.float64]
    """[training rows, scores]."""


def _rounds(
    boosted: BoostedLeaves,
    known: NDArray[np.int64],
    target: NDArray[Any],
    weights: NDArray[np.float64],
    scores: int,
) -> Iterator[_Round]:
    import numpy as np

    prior = _prior(target, weights, scores)
    if boosted.of_medians:
        prior = np.array([np.median(target)])
    total = np.tile(prior, (len(known), 1))
    for first in range(0, known.shape[1], scores):
        gradients, curvatures = _loss(total, target)
        if boosted.of_medians:
            gradients = -_around_medians(-gradients, known[:, first])
        values = [boosted.values[first + i][known[:, first + i]] for i in range(scores)]
        added = np.stack(values, axis=1)
        if boosted.has_prior and first == 0:
            added = added - prior
        yield _Round(gradients * weights[:, None], curvatures * weights[:, None], added)
        total = total + added


def _around_medians(missing: NDArray[np.float64], leaves: NDArray[np.int64]) -> NDArray[np.float64]:
    """[rows, 1]: what each row counts as in its leaf, whose mean is about the median of the leaf.

    Args:
        missing: [rows, 1], what the trees before do not predict.
        leaves: [rows].
    """
    import numpy as np

    counted = np.empty_like(missing)
    for leaf in np.unique(leaves):
        rows = leaves == leaf
        median = np.median(missing[rows])
        beside = missing[rows] - median
        counted[rows] = median + np.sign(beside) * np.abs(beside).mean()
    return counted


def _rate(fitted: _Round, known: NDArray[np.int64]) -> float:
    """Return the share of a Newton step that leaves add, as the first round shows it.

    It contains what the libraries divide by: a penalty, or the number of models that are averaged.
    """
    gradient_sums = leaf_sums(known, -fitted.gradients, known)
    steps = gradient_sums / leaf_sums(known, fitted.curvatures, known).clip(TINY)
    return float((fitted.added * steps).sum() / max((steps * steps).sum(), TINY))


def _prior(target: NDArray[Any], weights: NDArray[np.float64], scores: int) -> NDArray[np.float64]:
    """[scores]: those that boosting begins with, the best without any input."""
    import numpy as np

    if target.dtype.kind == "f":
        return np.array([np.average(target, weights=weights)])
    logs: NDArray[np.float64] = np.log(np.bincount(target, weights) / weights.sum())
    return logs if scores > 1 else logs[1:] - logs[:1]


def _loss(
    scores: NDArray[np.float64], target: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    import numpy as np

    if target.dtype.kind == "f":
        return scores - target[:, None], np.ones_like(scores)
    if scores.shape[1] == 1:
        shares = 1 / (1 + np.exp(-scores))
        return shares - target[:, None], shares * (1 - shares)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares - np.eye(scores.shape[1])[target], shares * (1 - shares)


def _output_slopes(judged: JudgedOutputs) -> NDArray[np.float64]:
    """[judged, scores]: the derivative of the output by each score."""
    import numpy as np

    if judged.classes is None:
        return np.ones((len(judged.outputs), 1))
    chosen = np.eye(judged.outputs.shape[1])[judged.classes]
    probability = (judged.outputs * chosen).sum(axis=1, keepdims=True)
    slopes: NDArray[np.float64] = probability * (chosen - judged.outputs)
    # Of two classes there is one score, that of the second.
    return slopes if slopes.shape[1] > 2 else slopes[:, 1:]


def leaf_sums(
    known: NDArray[np.int64], values: NDArray[np.float64], own: NDArray[np.int64]
) -> NDArray[np.float64]:
    """[judged, trees]: the sum of the training rows' values in the leaf of each judged row.

    Args:
        known: [training rows, trees], their leaves.
        values: [training rows, trees].
        own: [judged, trees], their leaves.
    """
    import numpy as np

    size = int(max(known.max(), own.max())) + 1
    sums = [
        np.bincount(known[:, tree], values[:, tree], size)[own[:, tree]]
        for tree in range(known.shape[1])
    ]
    return np.stack(sums, axis=1)


def paired(
    own: NDArray[np.int64],
    steps: NDArray[np.float64],
    known: NDArray[np.int64],
    values: NDArray[np.float64],
) -> NDArray[np.float64]:
    """[judged, training rows]: the sum of steps * values over the trees in which they share a leaf.

    Args:
        own, known: [judged, trees] and [training rows, trees], the leaves.
        steps, values: of the same shapes.
    """
    import numpy as np
    from scipy.sparse import csr_array

    size = int(max(known.max(), own.max())) + 1
    trees = known.shape[1]

    def placed(leaves: NDArray[np.int64], numbers: NDArray[np.float64]) -> Any:
        cells = leaves + np.arange(trees) * size
        starts = np.arange(len(leaves) + 1) * trees
        return csr_array((numbers.ravel(), cells.ravel(), starts), (len(leaves), trees * size))

    total: NDArray[np.float64] = (placed(own, steps) @ placed(known, values).T).toarray()
    return total
