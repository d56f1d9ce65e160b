"""k-NN Shapley, compared with its definition and with dattri."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from factory_assets.ml.attribution.nearest_neighbours import disagreement, knn_shapley


def by_definition(distances: np.ndarray, values: np.ndarray, k: int) -> np.ndarray:
    """Return the mean gain of each row over all groups of others, with equal weight per size."""
    rows = len(distances)

    def group_value(group: tuple[int, ...]) -> float:
        return float(sum(sorted_values(group)) / k)

    def sorted_values(group: tuple[int, ...]) -> list[float]:
        return [values[i] for i in sorted(group, key=lambda i: distances[i])[:k]]

    values_of_rows = np.zeros(rows)
    for row in range(rows):
        others = [i for i in range(rows) if i != row]
        for size in range(rows):
            for group in combinations(others, size):
                gain = group_value((*group, row)) - group_value(group)
                values_of_rows[row] += gain / (rows * comb(rows - 1, size))
    return values_of_rows


@pytest.mark.parametrize("k", [1, 3, 9])
def test_closed_form_equals_the_definition(k: int) -> None:
    chance = np.random.default_rng(k)
    distances, classes = chance.random((2, 7)), chance.integers(0, 2, 7).astype(float)
    numbers = chance.normal(size=7)
    for values in (classes, numbers):
        shapley = knn_shapley(distances, np.stack([values, values]), k)
        for judged in range(2):
            expected = by_definition(distances[judged], values, k)
            np.testing.assert_allclose(shapley[judged], expected, atol=1e-12)


def test_knn_shapley_equals_dattri() -> None:
    # Whose import takes 3 s of CPU, in each process that collects tests.
    from dattri.algorithm.data_shapley import KNNShapleyAttributor

    chance = np.random.default_rng(0)
    known, judged = chance.normal(size=(40, 3)), chance.normal(size=(5, 3))
    labels, judged_labels = chance.integers(0, 3, 40), chance.integers(0, 3, 5)
    loaders = [
        DataLoader(TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), batch_size=len(x))
        for x, y in ((known, labels), (judged, judged_labels))
    ]
    theirs = KNNShapleyAttributor(4).attribute(*loaders).numpy()
    distances = np.linalg.norm(judged[:, None] - known[None], axis=2)
    ours = knn_shapley(distances, labels[None] == judged_labels[:, None], 4)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_knn_shapley_values_add_up_to_the_mean_of_the_nearest() -> None:
    chance = np.random.default_rng(0)
    distances, values = chance.random((1, 30)), chance.normal(size=(1, 30))
    nearest = values[0, np.argsort(distances[0])[:5]]
    assert knn_shapley(distances, values, 5).sum() == pytest.approx(nearest.mean())


def test_disagreement_is_highest_for_a_row_unlike_its_neighbours() -> None:
    points = np.concatenate([np.zeros((15, 1)), np.ones((15, 1))]) + np.arange(30)[:, None] / 100
    classes = np.repeat([0, 1], 15)
    classes[4] = 1
    assert disagreement(points, classes).argmax() == 4
    numbers = np.repeat([0.0, 10.0], 15)
    numbers[20] = -5
    assert disagreement(points, numbers).argmax() == 20
