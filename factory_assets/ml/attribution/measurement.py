"""Measure influence: how well it predicts the outputs of models trained on half of the rows.

A damping, or number of neighbours, is chosen first, on validation rows and a third as many other
halves, of the training rows alone. The score is then measured on test rows and halves that
took no part in that choice.
The score itself belongs in `lds`, the effects in `methods`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.ml.attribution.blend_effects import model_attribution
from factory_assets.ml.attribution.lds import ceiling, lds, predicted_quantity
from factory_assets.ml.attribution.methods import Attribution
from factory_assets.ml.attribution.retraining import Retrainer, make_retrainer, store_seeds
from factory_assets.ml.attribution.retraining_tasks import (
    Halves,
    JudgedRows,
    Retraining,
    RetrainingData,
    RetrainingTask,
    predict_by_halves,
    train_whole,
)
from factory_assets.ml.evaluation.test_set import TestSet
from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.models.base import Model
from factory_assets.ml.training.fit_tasks import FitExecutor
from factory_assets.ml.training.fitting import no_progress
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import InfluenceQuality, Variant
from factory_assets.results.model import Candidate
from factory_resources.home.home import Home
from factory_resources.progress import Progress
from factory_resources.tables.snapshot import read_arrow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
    executor: FitExecutor | None = None,
) -> InfluenceQuality | None:
    """Measure the score, and store the further networks with the candidate; None if not declared.

    Args:
        executor: trains the models; None if they are trained here, one after another.

    Raises:
        ModelError: the network does not end in a linear layer.
    """
    declared = test_set.pipeline.spec.evaluate.influence
    if declared is None:
        return None
    training, validation = read_arrow(parts.train, home), read_arrow(parts.validation, home)
    refit, portfolio = test_set.candidate.refit, test_set.candidate.portfolio
    learner = make_retrainer(
        test_set.pipeline, trained, training, validation, home, refit, portfolio
    )
    retraining = Retraining(learner, _data(test_set.candidate, parts, home))
    progress = progress or no_progress
    others = _further_seeds(retraining, declared.seeds, progress, executor)
    effects = candidate_attribution(learner, others)
    choosing_halves = max(MIN_CHOOSING_HALVES, declared.subsets // 3)
    if len(effects.variants) == 1:
        choosing_halves = 0
    seeds = learner.seeds(declared.seeds)
    total = seeds * declared.subsets + choosing_halves
    trainings = _Trainings(retraining, total, progress, executor)
    seed = test_set.pipeline.spec.training.seed
    choosing_rows = _sample(len(learner.validation), declared.rows, seed)
    variant = _choose_variant(
        effects,
        trainings,
        JudgedRows(part="validation", positions=tuple(choosing_rows.tolist())),
        Halves(count=choosing_halves, seed=seed + 1, of_training=True),
    )
    rows = _sample(len(test_set.places), declared.rows, seed)
    judged = JudgedRows(part="test", positions=tuple(test_set.places[rows].tolist()))
    inputs = retraining.inputs(judged)
    classes = predicted_classes(trained, inputs)
    of = Halves(count=declared.subsets, seed=seed)
    observed = trainings.observe(of, judged, classes, seeds)
    predicted = effects.effects(variant, inputs, classes)
    return InfluenceQuality(
        variant=variant,
        reach=effects.reach,
        seeds=seeds,
        subsets=declared.subsets,
        rows=len(rows),
        trainings=len(others) + trainings.total,
        score=lds(predicted, retraining.members(of), observed.mean(axis=1)),
        ceiling=ceiling(observed),
        at_least=declared.at_least,
        digest=store_seeds(others, test_set.candidate, home),
    )


def _further_seeds(
    retraining: Retraining, seeds: int, progress: Progress, executor: FitExecutor | None
) -> list[Model]:
    """Train the networks that the candidate lacks for the given number of seeds.

    Other kinds of models, and members of a blend, need none.
    """
    learner = retraining.learner
    if not learner.has_networks:
        return []
    return train_whole(retraining, range(learner.own, seeds), progress, executor)


def _data(candidate: Candidate, parts: SplitResult, home: Home) -> RetrainingData:
    from factory_resources.tracking.registry import Registry

    files = Registry(home).version(candidate.model, candidate.version).files
    name = f"{candidate.model} version {candidate.version}"
    return RetrainingData(
        train=parts.train,
        validation=parts.validation,
        test=parts.test,
        files=files,
        digest=candidate.digest,
        name=name,
        refit=candidate.refit,
        portfolio=candidate.portfolio,
    )


def candidate_attribution(learner: Retrainer, others: list[Model]) -> Attribution:
    """Return the effects of the rows that it learned from, averaged over all networks."""
    weights = learner.weights(learner.training.target)
    counts = None if weights is None else weights[learner.training.target]
    return model_attribution([learner.trained.model, *others], learner.training, counts)


def predicted_classes(trained: TrainedModel, inputs: Arrays) -> NDArray[np.int64] | None:
    """[rows]: the class with the highest probability; None if the model predicts a number."""
    if not trained.target.classes:
        return None
    likeliest: NDArray[np.int64] = trained.model.outputs(inputs).argmax(axis=1)
    return likeliest


def _choose_variant(
    effects: Attribution, trainings: _Trainings, judged: JudgedRows, of: Halves
) -> Variant:
    if not of.count:
        return effects.variants[0]
    retraining = trainings.retraining
    inputs, members = retraining.inputs(judged), retraining.members(of)
    classes = predicted_classes(retraining.learner.trained, inputs)
    observed = trainings.observe(of, judged, classes, 1)[:, 0]

    def score(variant: Variant) -> float:
        return lds(effects.effects(variant, inputs, classes), members, observed)

    return max(effects.variants, key=score)


def _sample(rows: int, limit: int, seed: int) -> NDArray[np.int64]:
    import numpy as np

    return np.sort(np.random.default_rng(seed).permutation(rows)[:limit])


@dataclass
class _Trainings:
    """The trainings of a measurement, which are counted."""

    retraining: Retraining
    total: int
    """How many there are on halves."""
    progress: Progress
    executor: FitExecutor | None
    count: int = 0
    """How many of them were asked for."""

    def observe(
        self, of: Halves, judged: JudgedRows, classes: NDArray[np.int64] | None, seeds: int
    ) -> NDArray[np.float64]:
        """[halves, seeds, judged]: train models on the halves and return their predictions."""
        import numpy as np

        tasks = [
            self._task(of, number, judged, seed)
            for number in range(of.count)
            for seed in range(seeds)
        ]
        outputs = predict_by_halves(self.retraining, tasks, self.progress, self.executor)
        observed = [predicted_quantity(one, classes) for one in outputs]
        return np.reshape(observed, (of.count, seeds, len(judged.positions)))

    def _task(self, of: Halves, number: int, judged: JudgedRows, seed: int) -> RetrainingTask:
        self.count += 1
        return RetrainingTask(
            data=self.retraining.data,
            seed=FIRST_HALF_SEED + seed,
            step=f"influence: training {self.count} of {self.total}",
            half=(of, number),
            judged=judged,
        )
