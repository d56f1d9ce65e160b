"""Effects of training rows on what a model says, in variants between which validation rows decide.

By gradients where the model has them, else by nearest neighbours. Heavy imports inside functions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from factory_assets.ml.attribution.nearest_neighbours import disagreement, knn_shapley, leaves_of
from factory_assets.ml.features.arrays import Arrays, LabelledArrays
from factory_assets.ml.models.base import Model
from factory_assets.results.evaluation import Variant

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


DAMPINGS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)

NEIGHBOURS = (5, 20, 80)


class Attribution(ABC):
    """Effects of the training rows of one model, or of several alike, then averaged."""

    variants: tuple[Variant, ...]
    reach: str
    """What the effects are told from."""

    @abstractmethod
    def effects(
        self, variant: Variant, judged: Arrays, classes: NDArray[np.int64] | None
    ) -> NDArray[np.float64]:
        """[judged, training rows]: by how much each training row raises what is said of each.

        Args:
            classes: [judged], the class whose log-odds are meant; None for the predicted number.
        """

    @abstractmethod
    def suspicion(self, variant: Variant) -> NDArray[np.float64]:
        """[training rows]: how much a row stands alone; where high, its label may be wrong."""


def attribution(
    models: Sequence[Model], training: LabelledArrays, weights: NDArray[np.float64] | None = None
) -> Attribution:
    """What fits the models.

    Args:
        models: alike, of several seeds.
        training: the rows that all of them learned from.
        weights: [training rows], how much each counts in the loss.

    Raises:
        ModelError: a network that does not end in a linear layer.
    """
    from factory_assets.ml.attribution.gradients import views_of

    if views_of(models[0], training.inputs.take([0])):
        return Gradients(models, training, weights)
    return Neighbours(models[0], training)


class Gradients(Attribution):
    """Damped Gauss-Newton influence, the mean over all networks."""

    variants = tuple(Variant(by="gradients", amount=damping) for damping in DAMPINGS)

    def __init__(
        self, models: Sequence[Model], training: LabelledArrays, weights: NDArray[np.float64] | None
    ) -> None:
        import torch

        from factory_assets.ml.attribution.gauss_newton import space
        from factory_assets.ml.attribution.gradients import linearise, reach_of, views_of

        views = [view for model in models for view in views_of(model, training.inputs)]
        self._models, self._classes = models, training.target.dtype.kind == "i"
        outputs = int(training.target.max()) + 1 if self._classes else 1
        self.reach = self._reach = reach_of(views[0], len(training), outputs)
        target = torch.from_numpy(training.target)
        counts = None if weights is None else torch.from_numpy(weights).float()
        self._spaces = [space(linearise(view, self._reach), target, counts) for view in views]

    def effects(
        self, variant: Variant, judged: Arrays, classes: NDArray[np.int64] | None
    ) -> NDArray[np.float64]:
        import torch

        from factory_assets.ml.attribution.gradients import linearise, views_of

        asked = None if classes is None else torch.from_numpy(classes)
        views = [view for model in self._models for view in views_of(model, judged)]
        found = [
            space.effects(space.towards(linearise(view, self._reach), asked), variant.amount)
            for space, view in zip(self._spaces, views, strict=True)
        ]
        mean: NDArray[np.float64] = torch.stack(found).double().mean(dim=0).numpy()
        return mean

    def suspicion(self, variant: Variant) -> NDArray[np.float64]:
        import torch

        found = [space.self_influence(variant.amount) for space in self._spaces]
        mean: NDArray[np.float64] = torch.stack(found).double().mean(dim=0).numpy()
        return mean


class Neighbours(Attribution):
    """k-NN Shapley, between inputs or between the leaves that rows fall into."""

    def __init__(self, model: Model, training: LabelledArrays) -> None:
        self._training = training
        self._leaves = leaves_of(model)
        spaces = ("inputs", "leaves") if self._leaves else ("inputs",)
        self.reach = "nearest neighbours"
        self.variants = tuple(Variant(by=space, amount=k) for space in spaces for k in NEIGHBOURS)
        self._matrix = Standard(training.inputs)

    def effects(
        self, variant: Variant, judged: Arrays, classes: NDArray[np.int64] | None
    ) -> NDArray[np.float64]:
        target = self._training.target
        values = target - target.mean() if classes is None else target == classes[:, None]
        distances = self._distances(variant, judged)
        return knn_shapley(distances, _wide(values, len(distances)), int(variant.amount))

    def suspicion(self, variant: Variant) -> NDArray[np.float64]:
        return disagreement(self._matrix(self._training.inputs), self._training.target)

    def _distances(self, variant: Variant, judged: Arrays) -> NDArray[np.float64]:
        import numpy as np

        known = self._training.inputs
        if variant.by == "leaves" and self._leaves:
            there, here = self._leaves(known), self._leaves(judged)
            apart = [np.mean(row != there, axis=1) for row in here]
            return np.stack(apart)
        from sklearn.metrics import pairwise_distances

        found: NDArray[np.float64] = pairwise_distances(self._matrix(judged), self._matrix(known))
        return found


class Standard:
    """Rows as points: numbers by their spread among the training rows, names one by one."""

    def __init__(self, training: Arrays) -> None:
        self._mean, spread = training.numbers.mean(axis=0), training.numbers.std(axis=0)
        spread[spread == 0] = 1
        self._spread = spread
        self._codes = training.codes.max(axis=0, initial=0) + 1

    def __call__(self, inputs: Arrays) -> NDArray[np.float32]:
        import numpy as np

        points = [(inputs.numbers - self._mean) / self._spread]
        for i, count in enumerate(self._codes):
            # Two names are as far apart as two numbers one standard deviation from each other.
            known = np.eye(count + 1, dtype=np.float32) / np.float32(2**0.5)
            points.append(known[np.minimum(inputs.codes[:, i], count)])
        return np.concatenate(points, axis=1)


def _wide(values: NDArray[np.float64], judged: int) -> NDArray[np.float64]:
    import numpy as np

    return np.broadcast_to(values, (judged, values.shape[-1]))
