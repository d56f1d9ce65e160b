"""Into which leaf of each tree rows fall: rows in the same leaves are alike to the trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from factory_assets.stages.features import Arrays
from factory_assets.stages.models import Model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Leaves = Callable[[Arrays], "NDArray[np.int64]"]
"""Rows to [rows, trees]."""


def leaves_of(model: Model) -> Leaves | None:
    """None for a model that is not made of scikit-learn's trees."""
    from factory_assets.stages.models.estimator import EstimatorModel
    from factory_assets.stages.models.gradient_boosting import BoostingModel
    from factory_assets.stages.models.random_forest import ForestModel

    if not isinstance(model, ForestModel | BoostingModel):
        return None
    trees: EstimatorModel = model

    def leaves(inputs: Arrays) -> NDArray[np.int64]:
        matrix, estimator = trees.matrix(inputs), trees.estimator
        if isinstance(trees, ForestModel):
            found: NDArray[np.int64] = estimator.apply(matrix)
            return found
        return boosted_leaves(estimator, matrix)

    return leaves


def boosted_leaves(estimator: Any, matrix: NDArray[np.float32]) -> NDArray[np.int64]:
    """[rows, trees], which scikit-learn tells of forests alone."""
    import numpy as np

    trees = [tree.nodes for round_ in estimator._predictors for tree in round_]
    rows = np.arange(len(matrix))
    found = np.zeros((len(matrix), len(trees)), dtype=np.int64)
    for number, nodes in enumerate(trees):
        at = found[:, number]
        while not (ends := nodes["is_leaf"][at].astype(bool)).all():
            values = matrix[rows, nodes["feature_idx"][at]]
            left = values <= nodes["num_threshold"][at]
            onward = np.where(left, nodes["left"][at], nodes["right"][at])
            at[:] = np.where(ends, at, onward)
    return found
