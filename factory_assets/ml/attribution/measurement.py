"""Measure influence: how well it foretells what the model says when it learns from half the rows.

A third as many other halves, judged on validation rows, choose the damping or the neighbours; the
score is then of test rows and of halves that have chosen nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.ml.attribution.lds import ceiling, halves, lds, said
from factory_assets.ml.attribution.methods import Attribution, attribution
from factory_assets.ml.attribution.retraining import Retrainer, keep_seeds, make_retrainer
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

FEWEST = 6
"""Halves that choose, at least."""

FAR = 1000
"""Seeds of the halves begin here, beyond those of any ensemble."""


def measure_influence(
    judgement: TestSet,
    parts: SplitResult,
    trained: TrainedModel,
    home: Home,
    progress: Progress | None = None,
) -> InfluenceQuality | None:
    """The score, and the seeds' networks kept with the candidate; None where it is not asked for.

    Raises:
        ModelError: the network does not end in a linear layer.
    """
    asked = judgement.pipeline.spec.evaluate.influence
    if asked is None:
        return None
    training, validation = read_arrow(parts.train, home), read_arrow(parts.validation, home)
    learner = make_retrainer(judgement.pipeline, trained, training, validation, home)
    seeds = learner.seeds(asked.seeds)
    choosing = max(FEWEST, asked.subsets // 3)
    told = _Told(progress, seeds * asked.subsets + choosing)
    others = further_seeds(learner, asked.seeds)
    effects = attributed(learner, others)
    seed = judgement.pipeline.spec.training.seed
    chance = _drawn(len(learner.validation), asked.rows, seed)
    variant = _chosen(
        effects, learner, learner.validation.inputs.take(chance), choosing, seed + 1, told
    )
    rows = _drawn(len(judgement.places), asked.rows, seed)
    inputs = trained.features.arrays(
        judgement.test, scaled=trained.model.scaled, rows=judgement.places[rows]
    )
    classes = said_classes(trained, inputs)
    held = halves(learner.training.target, asked.subsets, seed)
    observed = _observed(learner, held, inputs, classes, seeds, told)
    found = effects.effects(variant, inputs, classes)
    return InfluenceQuality(
        variant=variant,
        reach=effects.reach,
        seeds=seeds,
        subsets=asked.subsets,
        rows=len(rows),
        trainings=len(others) + told.count,
        score=lds(found, held, observed.mean(axis=1)),
        ceiling=ceiling(observed),
        at_least=asked.at_least,
        digest=keep_seeds(others, judgement.candidate, home),
    )


def further_seeds(learner: Retrainer, asked: int) -> list[Model]:
    """Networks from as many seeds more as the candidate lacks; trees and lines need none."""
    from factory_assets.ml.models.networks.model import NetworkModel

    if not isinstance(learner.trained.model, NetworkModel):
        return []
    return [learner.fit(None, seed) for seed in range(learner.own, asked)]


def attributed(learner: Retrainer, others: list[Model]) -> Attribution:
    """The effects of the candidate's training rows, over its own seeds and the others."""
    weights = learner.weights(learner.training.target)
    counts = None if weights is None else weights[learner.training.target]
    return attribution([learner.trained.model, *others], learner.training, counts)


def said_classes(trained: TrainedModel, inputs: Arrays) -> NDArray[np.int64] | None:
    """[rows]: the class that the model finds likeliest; None where it predicts a number."""
    if not trained.target.classes:
        return None
    likeliest: NDArray[np.int64] = trained.model.outputs(inputs).argmax(axis=1)
    return likeliest


def _chosen(
    effects: Attribution, learner: Retrainer, judged: Arrays, count: int, seed: int, told: _Told
) -> Variant:
    held = halves(learner.training.target, count, seed)
    classes = said_classes(learner.trained, judged)
    observed = _observed(learner, held, judged, classes, 1, told)[:, 0]

    def score(variant: Variant) -> float:
        return lds(effects.effects(variant, judged, classes), held, observed)

    return max(effects.variants, key=score)


def _observed(
    learner: Retrainer,
    held: NDArray[np.bool_],
    judged: Arrays,
    classes: NDArray[np.int64] | None,
    seeds: int,
    told: _Told,
) -> NDArray[np.float64]:
    """[halves, seeds, judged]: what models trained on the halves say."""
    import numpy as np

    found = []
    for half in held:
        rows = np.flatnonzero(half)
        for seed in range(seeds):
            told.one()
            model = learner.fit(rows, FAR + seed)
            found.append(said(model.outputs(judged), classes))
    return np.reshape(found, (len(held), seeds, len(judged)))


def _drawn(rows: int, asked: int, seed: int) -> NDArray[np.int64]:
    import numpy as np

    return np.sort(np.random.default_rng(seed).permutation(rows)[:asked])


@dataclass
class _Told:
    """Says how far the trainings have come."""

    progress: Progress | None
    total: int
    count: int = 0

    def one(self) -> None:
        self.count += 1
        if self.progress:
            self.progress(f"influence: training {self.count} of {self.total}")
