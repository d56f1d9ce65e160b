"""The leaf of each tree that a row falls into, and the value of each leaf of boosted trees.

What a training row contributes to its leaves belongs in `tree_effects`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.models.base import Model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Leaves = Callable[[Arrays], "NDArray[np.int64]"]
"""Maps rows to the leaf of each tree, [rows, trees]; of several scores, their trees alternate."""


@dataclass(frozen=True)
class Trees:
    """The trees of a model."""

    leaves: Leaves
    boosted: BoostedLeaves | None = None
    """None for a forest, of which each tree predicts the mean of its leaf."""


@dataclass(frozen=True)
class BoostedLeaves:
    """What the leaves of boosted trees add to the scores."""

    values: tuple[NDArray[np.float64], ...]
    """For each tree, the value of each of its leaves, by their number."""
    has_prior: bool
    """Whether the first trees contain the scores that boosting begins with."""
    of_medians: bool
    """Whether they lower the absolute error: a leaf then adds a median, and no mean."""


def trees_of(model: Model) -> Trees | None:
    """Return the trees of a model of the factory; None for any other model."""
    from factory_assets.ml.models.trees.gradient_boosting import BoostingModel
    from factory_assets.ml.models.trees.lightgbm import LightGbmModel
    from factory_assets.ml.models.trees.random_forest import ForestModel

    if isinstance(model, ForestModel):
        return Trees(lambda rows: model.estimator.apply(model.matrix(rows)))
    if isinstance(model, BoostingModel):
        nodes = [tree.nodes for round_ in model.estimator._predictors for tree in round_]
        values = tuple(tree["value"] for tree in nodes)
        boosted = BoostedLeaves(values, False, model.estimator.loss == "absolute_error")
        return Trees(lambda rows: boosted_leaves(nodes, model.matrix(rows)), boosted)
    if isinstance(model, LightGbmModel):
        return Trees(_lightgbm_leaves(model), _lightgbm_values(model.booster))
    return None


def boosted_leaves(trees: list[Any], matrix: NDArray[np.float32]) -> NDArray[np.int64]:
    """[rows, trees]: the leaves of boosted trees; scikit-learn has `apply` only for forests.

    Args:
        trees: the nodes of each.
    """
    import numpy as np

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


def _lightgbm_leaves(model: Any) -> Leaves:
    import numpy as np

    def leaves(rows: Arrays) -> NDArray[np.int64]:
        found = model.booster.predict(model.matrix(rows), pred_leaf=True)
        return np.asarray(found, dtype=np.int64).reshape(len(rows), -1)

    return leaves


def _lightgbm_values(booster: Any) -> BoostedLeaves:
    import numpy as np

    from factory_assets.ml.models.trees.lightgbm import OF_NUMBERS

    model = booster.dump_model()
    trees = model["tree_info"]
    values = tuple(
        np.array([booster.get_leaf_output(number, leaf) for leaf in range(tree["num_leaves"])])
        for number, tree in enumerate(trees)
    )
    return BoostedLeaves(values, True, model["objective"] == OF_NUMBERS["absolute_error"])
