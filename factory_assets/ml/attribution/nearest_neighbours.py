"""k-NN Shapley: the value of each training row for the vote of a row's nearest neighbours.

For models without gradients. The closed form of Jia et al. (2019), for any value that neighbours
contribute: the value of a group is the sum of its k nearest members' values, over k.

Also finds the leaf of each tree that a row falls into, as a distance for models of trees: rows in
the same leaves look the same to the trees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.models.base import Model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


NEAREST = 10
"""Neighbours with which `disagreement` compares a row."""


def knn_shapley(
    distances: NDArray[np.floating], values: NDArray[np.floating], k: int
) -> NDArray[np.float64]:
    """[judged, training rows]: the Shapley value of each training row for each judged one.

    Args:
        distances: [judged, training rows].
        values: [judged, training rows], what a row contributes as a neighbour: 1 if it has the
            class in question and 0 if not, or its number.
        k: how many neighbours vote.
    """
    import numpy as np

    rows = distances.shape[1]
    order = np.argsort(distances, axis=1, kind="stable")
    ranked = np.take_along_axis(values.astype(np.float64), order, axis=1)
    places = np.arange(1, rows)
    steps = (ranked[:, :-1] - ranked[:, 1:]) / k * np.minimum(k, places) / places
    farthest = ranked[:, -1:] * min(k, rows) / (k * rows)
    # From the farthest row inwards, the value of each row is that of the next plus its step.
    inwards = np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
    shapley = np.empty_like(ranked)
    np.put_along_axis(
        shapley, order, np.concatenate([inwards + farthest, farthest], axis=1), axis=1
    )
    return shapley


def disagreement(points: NDArray[np.floating], target: NDArray[Any]) -> NDArray[np.float64]:
    """[rows]: how far a row's class or number is from those of its nearest other rows."""
    import numpy as np
    from sklearn.neighbors import NearestNeighbors

    count = min(NEAREST, len(points) - 1)
    neighbours = NearestNeighbors(n_neighbors=count).fit(points).kneighbors(return_distance=False)
    if target.dtype.kind == "i":
        difference: NDArray[np.float64] = np.mean(target[neighbours] != target[:, None], axis=1)
        return difference
    difference = np.abs(target - target[neighbours].mean(axis=1)).astype(np.float64)
    return difference


Leaves = Callable[[Arrays], "NDArray[np.int64]"]
"""Maps rows to the leaf of each tree, [rows, trees]."""


def leaves_of(model: Model) -> Leaves | None:
    """Return the leaves of scikit-learn's trees; None for any other model."""
    from factory_assets.ml.models.trees.gradient_boosting import BoostingModel
    from factory_assets.ml.models.trees.random_forest import ForestModel
    from factory_assets.ml.models.trees.sklearn_base import EstimatorModel

    if not isinstance(model, ForestModel | BoostingModel):
        return None
    trees: EstimatorModel = model

    def leaves(inputs: Arrays) -> NDArray[np.int64]:
        matrix, estimator = trees.matrix(inputs), trees.estimator
        if isinstance(trees, ForestModel):
            indices: NDArray[np.int64] = estimator.apply(matrix)
            return indices
        return boosted_leaves(estimator, matrix)

    return leaves


def boosted_leaves(estimator: Any, matrix: NDArray[np.float32]) -> NDArray[np.int64]:
    """[rows, trees]: the leaves of boosted trees; scikit-learn has `apply` only for forests."""
    import numpy as np

    trees = [tree.nodes for round_ in estimator._predictors for tree in round_]
    rows = np.arange(len(matrix))
    leaves = np.zeros((len(matrix), len(trees)), dtype=np.int64)
    for number, nodes in enumerate(trees):
        node = leaves[:, number]
        while not (is_leaf := nodes["is_leaf"][node].astype(bool)).all():
            values = matrix[rows, nodes["feature_idx"][node]]
            left = values <= nodes["num_threshold"][node]
            child = np.where(left, nodes["left"][node], nodes["right"][node])
            node[:] = np.where(is_leaf, node, child)
    return leaves
