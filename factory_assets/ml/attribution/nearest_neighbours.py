"""k-NN Shapley: the value of each training row for the vote of a row's nearest neighbours.

For models without gradients. The closed form of Jia et al., Efficient task-specific data valuation
for nearest neighbor algorithms (2019), arXiv 1908.08619, for any value that neighbours contribute:
the value of a group is the sum of its k nearest members' values, over k.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
