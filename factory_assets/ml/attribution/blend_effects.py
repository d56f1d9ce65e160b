"""Effects of training rows on the outputs of a blend: the weighted sum over its members.

A blend is the weighted mean of its members' probabilities or numbers, so that a row moves it by the
weighted mean of what it moves in them. How it moves a member belongs in `methods`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from factory_assets.ml.attribution.methods import (
    BY_TREES,
    DAMPINGS,
    Attribution,
    Standard,
    attribution,
)
from factory_assets.ml.attribution.nearest_neighbours import disagreement
from factory_assets.ml.features.arrays import Arrays, LabelledArrays
from factory_assets.ml.models.base import Model
from factory_assets.ml.models.portfolio.blend import BlendModel
from factory_assets.results.evaluation import Variant

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def model_attribution(
    models: Sequence[Model], training: LabelledArrays, weights: NDArray[np.float64] | None = None
) -> Attribution:
    """Return the method that suits the models, as `attribution`; of a blend, that of its members.

    Args:
        models: of blends, the first has all members that are kept, each other some of them.
    """
    blends = [model for model in models if isinstance(model, BlendModel)]
    if not blends:
        return attribution(models, training, weights)
    members = [MemberEffects(blends, i, training, weights) for i in blends[0].kept]
    return members[0] if len(members) == 1 else BlendEffects(members, training)


class MemberEffects(Attribution):
    """Effects on one member of a blend; rows are given as the blend reads them."""

    def __init__(
        self,
        blends: Sequence[BlendModel],
        member: int,
        training: LabelledArrays,
        weights: NDArray[np.float64] | None,
    ) -> None:
        self._blend, self._member = blends[0], member
        self.weight = self._blend.weights[member]
        read = replace(training, inputs=self._blend.as_read_by(member, training.inputs))
        models = [one.kept[member] for one in blends if member in one.kept]
        self._own = attribution(models, read, weights)
        self.variants, self.reach = self._own.variants, self._own.reach

    @property
    def has_gradients(self) -> bool:
        """Whether its effects are those on the log-odds, and have a damping."""
        return self.variants != (BY_TREES,)

    def effects(
        self, variant: Variant, judged: Arrays, classes: NDArray[np.int64] | None
    ) -> NDArray[np.float64]:
        read = self._blend.as_read_by(self._member, judged)
        return self._own.effects(variant, read, classes)

    def output_effects(
        self, damping: float, judged: Arrays, classes: NDArray[np.int64] | None
    ) -> NDArray[np.float64]:
        """[judged, training rows]: by how much each row raises the probability, or the number."""
        import numpy as np

        read = self._blend.as_read_by(self._member, judged)
        if not self.has_gradients:
            return self._own.effects(BY_TREES, read, classes)
        effects = self._own.effects(Variant(by="gradients", amount=damping), read, classes)
        if classes is None:
            return effects
        outputs = self._blend.kept[self._member].outputs(read)
        probability = outputs[np.arange(len(classes)), classes][:, None]
        changed: NDArray[np.float64] = probability * (1 - probability) * effects
        return changed

    def suspicion(self, variant: Variant) -> NDArray[np.float64]:
        return self._own.suspicion(variant)


class BlendEffects(Attribution):
    """Effects on the output of several members together; gradients of all have one damping."""

    def __init__(self, members: Sequence[MemberEffects], training: LabelledArrays) -> None:
        self._members, self._training = members, training
        dampings = DAMPINGS if any(one.has_gradients for one in members) else (0.0,)
        self.variants = tuple(Variant(by="members", amount=damping) for damping in dampings)
        self.reach = " and ".join(dict.fromkeys(one.reach for one in members))

    def effects(
        self, variant: Variant, judged: Arrays, classes: NDArray[np.int64] | None
    ) -> NDArray[np.float64]:
        parts = (
            one.weight * one.output_effects(variant.amount, judged, classes)
            for one in self._members
        )
        total: NDArray[np.float64] = sum(parts, start=next(parts))
        return total

    def suspicion(self, variant: Variant) -> NDArray[np.float64]:
        points = Standard(self._training.inputs)(self._training.inputs)
        return disagreement(points, self._training.target)
