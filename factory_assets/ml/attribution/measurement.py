"""Measure influence: how well it predicts the outputs of models trained on half of the rows.

The damping, or the number of neighbours, is chosen first, on validation rows and a third as many
other halves. The score is then measured on test rows and halves that took no part in that choice.
The score itself belongs in `lds`, the effects in `methods`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.ml.attribution.lds import ceiling, halves, lds, predicted_quantity
from factory_assets.ml.attribution.methods import Attribution, attribution
from factory_assets.ml.attribution.retraining import Retrainer, make_retrainer, store_seeds
from factory_assets.ml.evaluation.test_set import TestSet
from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.models.base import Model
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import InfluenceQuality, Variant
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Progress = Callable[[str], None]

MIN_CHOOSING_HALVES = 6
"""Smallest number of halves for choosing the variant."""

FIRST_HALF_SEED = 1000
"""The first seed of models trained on halves, beyond the seeds of any ensemble."""


def measure_influence(
    test_set: TestSet,
    parts: SplitResult,
    trained: TrainedModel,
    home: Home,
    progress: Progress | None = None,
) -> InfluenceQuality | None:
    """Measure the score, and store the further networks with the candidate; None if not declared.

    Raises:
        ModelError: the network does not end in a linear layer.
    """
    declared = test_set.pipeline.spec.evaluate.influence
    if declared is None:
        return None
    training, validation = read_arrow(parts.train, home), read_arrow(parts.validation, home)
    learner = make_retrainer(test_set.pipeline, trained, training, validation, home)
    seeds = learner.seeds(declared.seeds)
    choosing_halves = max(MIN_CHOOSING_HALVES, declared.subsets // 3)
    counter = _TrainingProgress(progress, seeds * declared.subsets + choosing_halves)
    others = further_seeds(learner, declared.seeds)
    effects = candidate_attribution(learner, others)
    seed = test_set.pipeline.spec.training.seed
    choosing_rows = _sample(len(learner.validation), declared.rows, seed)
    variant = _choose_variant(
        effects,
        learner,
        learner.validation.inputs.take(choosing_rows),
        choosing_halves,
        seed + 1,
        counter,
    )
    rows = _sample(len(test_set.places), declared.rows, seed)
    inputs = trained.features.arrays(
        test_set.test, scaled=trained.model.scaled, rows=test_set.places[rows]
    )
    classes = predicted_classes(trained, inputs)
    members = halves(learner.training.target, declared.subsets, seed)
    observed = _retrain(learner, members, inputs, classes, seeds, counter)
    predicted = effects.effects(variant, inputs, classes)
    return InfluenceQuality(
        variant=variant,
        reach=effects.reach,
        seeds=seeds,
        subsets=declared.subsets,
        rows=len(rows),
        trainings=len(others) + counter.count,
        score=lds(predicted, members, observed.mean(axis=1)),
        ceiling=ceiling(observed),
        at_least=declared.at_least,
        digest=store_seeds(others, test_set.candidate, home),
    )


def further_seeds(learner: Retrainer, seeds: int) -> list[Model]:
    """Train the networks that the candidate lacks for the given number of seeds.

    Other kinds of models need none.
    """
    from factory_assets.ml.models.networks.model import NetworkModel

    if not isinstance(learner.trained.model, NetworkModel):
        return []
    return [learner.fit(None, seed) for seed in range(learner.own, seeds)]


def candidate_attribution(learner: Retrainer, others: list[Model]) -> Attribution:
    """Return the effects of the candidate's training rows, averaged over all networks."""
    weights = learner.weights(learner.training.target)
    counts = None if weights is None else weights[learner.training.target]
    return attribution([learner.trained.model, *others], learner.training, counts)


def predicted_classes(trained: TrainedModel, inputs: Arrays) -> NDArray[np.int64] | None:
    """[rows]: the class with the highest probability; None if the model predicts a number."""
    if not trained.target.classes:
        return None
    likeliest: NDArray[np.int64] = trained.model.outputs(inputs).argmax(axis=1)
    return likeliest


def _choose_variant(
    effects: Attribution,
    learner: Retrainer,
    judged: Arrays,
    count: int,
    seed: int,
    counter: _TrainingProgress,
) -> Variant:
    members = halves(learner.training.target, count, seed)
    classes = predicted_classes(learner.trained, judged)
    observed = _retrain(learner, members, judged, classes, 1, counter)[:, 0]

    def score(variant: Variant) -> float:
        return lds(effects.effects(variant, judged, classes), members, observed)

    return max(effects.variants, key=score)


def _retrain(
    learner: Retrainer,
    members: NDArray[np.bool_],
    judged: Arrays,
    classes: NDArray[np.int64] | None,
    seeds: int,
    counter: _TrainingProgress,
) -> NDArray[np.float64]:
    """[halves, seeds, judged]: train models on the halves and return their predictions."""
    import numpy as np

    observed = []
    for half in members:
        rows = np.flatnonzero(half)
        for seed in range(seeds):
            counter.advance()
            model = learner.fit(rows, FIRST_HALF_SEED + seed)
            observed.append(predicted_quantity(model.outputs(judged), classes))
    return np.reshape(observed, (len(members), seeds, len(judged)))


def _sample(rows: int, limit: int, seed: int) -> NDArray[np.int64]:
    import numpy as np

    return np.sort(np.random.default_rng(seed).permutation(rows)[:limit])


@dataclass
class _TrainingProgress:
    """Report how many of the trainings have started."""

    progress: Progress | None
    total: int
    count: int = 0

    def advance(self) -> None:
        self.count += 1
        if self.progress:
            self.progress(f"influence: training {self.count} of {self.total}")
