"""Effects of training rows on the predictions of a model, by the method that suits its kind.

Each method has variants, from which `measurement` chooses on validation rows. The formulas belong
in `gauss_newton`, `tree_effects` and `nearest_neighbours`; the sum over the members of a blend in
`blend_effects`. Heavy imports inside functions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from factory_assets.ml.attribution.leaves import Trees, trees_of
from factory_assets.ml.attribution.nearest_neighbours import disagreement, knn_shapley
from factory_assets.ml.attribution.tree_effects import JudgedOutputs, tree_effects
from factory_assets.ml.features.arrays import Arrays, LabelledArrays
from factory_assets.ml.models.base import Model
from factory_assets.results.evaluation import Variant

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


DAMPINGS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)

NEIGHBOURS = (5, 20, 80)

BY_TREES = Variant(by="trees", amount=0)


class Attribution(ABC):
    """Effects of the training rows of one model, or the mean over models from several seeds."""

    variants: tuple[Variant, ...]
    reach: str
    """What the effects are computed from: all parameters, the last layer, the leaves of trees or
    nearest neighbours."""

    @abstractmethod
    def effects(
        self, variant: Variant, judged: Arrays, classes: NDArray[np.int64] | None
    ) -> NDArray[np.float64]:
        """[judged, training rows]: by how much each training row raises the prediction.

        Args:
            classes: [judged], the class that the prediction is of: its log-odds by gradients, by
                trees its probability, by neighbours their vote; None for the predicted number.
        """

    @abstractmethod
    def suspicion(self, variant: Variant) -> NDArray[np.float64]:
        """[training rows]: how much a row stands out; if high, its label may be wrong."""


def attribution(
    models: Sequence[Model], training: LabelledArrays, weights: NDArray[np.float64] | None = None
) -> Attribution:
    """Return the method that suits the models: gradients, trees, or for any other neighbours.

    Args:
        models: of the same kind and settings, from several seeds; of the factory, but no blends.
        training: the rows that all of them were trained on.
        weights: [training rows], how much each counts in the loss.

    Raises:
        ModelError: a network does not end in a linear layer.
    """
    from factory_assets.ml.attribution.gradients import views_of

    if views_of(models[0], training.inputs.take([0])):
        return Gradients(models, training, weights)
    if trees := trees_of(models[0]):
        return SharedLeaves(models[0], trees, training, weights)
    return Neighbours(training)


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

        codes = None if classes is None else torch.from_numpy(classes)
        views = [view for model in self._models for view in views_of(model, judged)]
        by_network = [
            space.effects(
                space.output_gradients(linearise(view, self._reach), codes), variant.amount
            )
            for space, view in zip(self._spaces, views, strict=True)
        ]
        mean: NDArray[np.float64] = torch.stack(by_network).double().mean(dim=0).numpy()
        return mean

    def suspicion(self, variant: Variant) -> NDArray[np.float64]:
        import torch

        by_network = [space.self_influence(variant.amount) for space in self._spaces]
        mean: NDArray[np.float64] = torch.stack(by_network).double().mean(dim=0).numpy()
        return mean


class Neighbours(Attribution):
    """k-NN Shapley, by distance between inputs."""

    variants = tuple(Variant(by="inputs", amount=k) for k in NEIGHBOURS)
    reach = "nearest neighbours"

    def __init__(self, training: LabelledArrays) -> None:
        self._training = training
        self._matrix = Standard(training.inputs)

    def effects(
        self, variant: Variant, judged: Arrays, classes: NDArray[np.int64] | None
    ) -> NDArray[np.float64]:
        target = self._training.target
        values = target - target.mean() if classes is None else target == classes[:, None]
        distances = self._distances(variant, judged)
        return knn_shapley(distances, _broadcast(values, len(distances)), int(variant.amount))

    def suspicion(self, variant: Variant) -> NDArray[np.float64]:
        return disagreement(self._matrix(self._training.inputs), self._training.target)

    def _distances(self, variant: Variant, judged: Arrays) -> NDArray[np.float64]:
        from sklearn.metrics import pairwise_distances

        distances: NDArray[np.float64] = pairwise_distances(
            self._matrix(judged), self._matrix(self._training.inputs)
        )
        return distances


class SharedLeaves(Neighbours):
    """Effects through the leaves that rows share; older results have those of `Neighbours`."""

    variants = (BY_TREES,)
    reach = "the leaves of trees"

    def __init__(
        self,
        model: Model,
        trees: Trees,
        training: LabelledArrays,
        weights: NDArray[np.float64] | None,
    ) -> None:
        import numpy as np

        super().__init__(training)
        self._model, self._trees = model, trees
        self._weights = np.ones(len(training)) if weights is None else weights

    def effects(
        self, variant: Variant, judged: Arrays, classes: NDArray[np.int64] | None
    ) -> NDArray[np.float64]:
        if variant != BY_TREES:
            return super().effects(variant, judged, classes)
        outputs = JudgedOutputs(judged, self._model.outputs(judged), classes)
        return tree_effects(self._trees, self._training, self._weights, outputs)

    def _distances(self, variant: Variant, judged: Arrays) -> NDArray[np.float64]:
        import numpy as np

        if variant.by != "leaves":
            return super()._distances(variant, judged)
        known, own = self._trees.leaves(self._training.inputs), self._trees.leaves(judged)
        return np.stack([np.mean(row != known, axis=1) for row in own])


class Standard:
    """Rows as points: numbers scaled by their spread in the training rows, names one-hot."""

    def __init__(self, training: Arrays) -> None:
        self._mean, spread = training.numbers.mean(axis=0), training.numbers.std(axis=0)
        spread[spread == 0] = 1
        self._spread = spread
        self._codes = training.codes.max(axis=0, initial=0) + 1

    def __call__(self, inputs: Arrays) -> NDArray[np.float32]:
        import numpy as np

        points = [(inputs.numbers - self._mean) / self._spread]
        for i, count in enumerate(self._codes):
            # The distance of two names equals that of two numbers one standard deviation apart.
            known = np.eye(count + 1, dtype=np.float32) / np.float32(2**0.5)
            points.append(known[np.minimum(inputs.codes[:, i], count)])
        return np.concatenate(points, axis=1)


def _broadcast(values: NDArray[np.float64], judged: int) -> NDArray[np.float64]:
    import numpy as np

    return np.broadcast_to(values, (judged, values.shape[-1]))
