"""Train a candidate again: on all or some of the rows that it learned from, from other seeds.

Preprocessing stays that of the candidate, so that only the training rows and seeds differ.

Also stores the networks of further seeds with the candidate in MLflow, under a digest manifest:
with them, lists of influential rows are computed later without any training. Effects belong in
`methods`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from shutil import move
from typing import TYPE_CHECKING, Any, Literal, cast

from factory_assets.ml.artifacts.trained_model import (
    MANIFEST,
    TrainedModel,
    build_manifest,
    copy_checked,
)
from factory_assets.ml.features.arrays import LabelledArrays, concatenate
from factory_assets.ml.features.fold_statistics import fold_statistics
from factory_assets.ml.models.base import ENSEMBLE_SEED_STEP, FitContext, Model, balanced_weights
from factory_assets.ml.models.kinds import fit_model, model_class
from factory_assets.ml.models.portfolio.blend import BlendModel
from factory_assets.ml.training.inner_folds import inner_folds, training_folds
from factory_assets.results.evaluation import InfluenceQuality
from factory_assets.results.model import Candidate, Portfolio, Refit
from factory_assets.spec import Linear, ModelSpec, Pipeline
from factory_assets.spec.models import Auto, Network
from factory_resources.home.home import Home

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


Members = Literal["all", "networks"]


@dataclass(frozen=True)
class Retrainer:
    """The candidate with its rows, to train it again."""

    pipeline: Pipeline
    trained: TrainedModel
    training: LabelledArrays
    """The rows that it learned from: training rows, and validation rows if it was refitted."""
    validation: LabelledArrays
    """The validation rows, which decide when to stop unless the candidate was refitted."""
    home: Home
    refit: Refit | None = None
    """How the candidate learned from all rows; None if only from the training rows."""
    portfolio: Portfolio | None = None
    """The members of which the candidate is a blend; None for any other kind."""

    @property
    def single(self) -> ModelSpec:
        """The model to train again: single networks, even where the candidate has ensembles."""
        spec = self.trained.description.spec
        if not isinstance(spec, Auto):
            return _single(spec)
        return spec.model_copy(update={"members": tuple(map(_single, spec.members or ()))})

    @property
    def own(self) -> int:
        """From how many seeds the networks of the candidate were trained."""
        return min((one.ensemble for one in self._kept if isinstance(one, Network)), default=1)

    def seeds(self, declared: int) -> int:
        """Return how many seeds to use: 1 for linear models, which do not depend on it."""
        return 1 if all(isinstance(one, Linear) for one in self._kept) else declared

    @property
    def has_networks(self) -> bool:
        """Whether effects are averaged over networks from several seeds."""
        from factory_assets.ml.models.networks.model import NetworkModel

        model = self.trained.model
        models = model.kept.values() if isinstance(model, BlendModel) else (model,)
        return any(isinstance(one, NetworkModel) for one in models)

    @property
    def _kept(self) -> Sequence[ModelSpec]:
        """The declared model, or the members that are part of the blend."""
        spec, model = self.trained.description.spec, self.trained.model
        if not isinstance(model, BlendModel):
            return (spec,)
        members = cast(Auto, spec).members or ()
        return [members[i] for i in model.kept]

    def weights(self, target: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """[classes]: the class weights; None if the classes are not balanced."""
        classes = len(self.trained.target.classes)
        if not classes or self.pipeline.spec.training.class_weights != "balanced":
            return None
        return balanced_weights(target, classes)

    def fit(self, rows: NDArray[np.int64] | None, seed: int, members: Members = "all") -> Model:
        """Train on the given rows, or on all if None; seeds 0, 1, … are those of an ensemble.

        Args:
            members: which of the members of a blend are trained.
        """
        training = self.training if rows is None else self.training.take(rows)
        with self.home.scratch() as scratch:
            context = FitContext(
                spec=self.single,
                shape=self.trained.description.shape,
                seed=self.pipeline.spec.training.seed + ENSEMBLE_SEED_STEP * seed,
                class_weights=self.weights(training.target),
                folder=self.pipeline.folder,
                scratch=scratch,
                progress=lambda _: None,
                trainer=self.pipeline.spec.training.trainer,
                rounds=self.refit.rounds if self.refit else None,
            )
            model = self.trained.model
            if isinstance(model, BlendModel):
                rounds = self._rounds(model, members)
                return model.on_other_rows(context, training, self.validation, rounds)
            return fit_model(context, training, self.validation).model

    def _rounds(self, blend: BlendModel, members: Members) -> dict[int, int | None]:
        """Return for how many rounds each member is fitted, as the candidate's was."""
        from factory_assets.ml.models.networks.model import NetworkModel

        found = self.portfolio.members if self.portfolio else ()
        return {
            i: found[i].rounds if found else None
            for i, member in blend.kept.items()
            if members == "all" or isinstance(member, NetworkModel)
        }


def make_retrainer(
    pipeline: Pipeline,
    trained: TrainedModel,
    training: pa.Table,
    validation: pa.Table,
    home: Home,
    refit: Refit | None,
    portfolio: Portfolio | None = None,
) -> Retrainer:
    """Encode the tables that the candidate was trained on.

    Args:
        refit: how the candidate was fitted again; None if `train.refit` was `never`.
        portfolio: as of the candidate.
    """
    places = trained.target.known_rows(validation)
    encoded = _training_rows(pipeline, trained, (training, validation.take(places)))
    known = encode_rows(trained, validation, places)
    if refit is None or refit.reason:
        return Retrainer(pipeline, trained, encoded, known, home, None, portfolio)
    whole = concatenate([encoded, known])
    return Retrainer(pipeline, trained, whole, known, home, refit, portfolio)


def _training_rows(
    pipeline: Pipeline, trained: TrainedModel, tables: tuple[pa.Table, pa.Table]
) -> LabelledArrays:
    """Encode training rows as the candidate read them, which knew nothing of a row's own fold."""
    features, target = trained.features, trained.target
    rows = encode_rows(trained, tables[0])
    if not any(features.statistics_places()):
        return rows
    folds = inner_folds(pipeline, target, tables)
    if folds is None:
        folds = training_folds(pipeline, target, tables[0])
    statistics = fold_statistics(features, target, tables, folds, scaled=trained.model.scaled)
    return statistics.of_training(rows) if statistics else rows


def encode_rows(trained: TrainedModel, table: pa.Table, rows: Any = None) -> LabelledArrays:
    """Encode rows for training; `rows` selects some of the table."""
    inputs = trained.features.arrays(table, scaled=trained.model.scaled, rows=rows)
    target = trained.target.learned(table)
    return LabelledArrays(inputs, target if rows is None else target[rows])


def _single(spec: ModelSpec) -> ModelSpec:
    return spec.model_copy(update={"ensemble": 1}) if isinstance(spec, Network) else spec


FOLDER = "influence"


def store_seeds(models: Sequence[Model], candidate: Candidate, home: Home) -> str | None:
    """Store the models with the candidate's run; return the manifest's SHA-256, None for none."""
    from factory_resources.tracking.registry import Registry

    if not models:
        return None
    with home.scratch() as files:
        for number, model in enumerate(models):
            with home.scratch() as folder:
                model.save(folder)
                for path in folder.iterdir():
                    move(path, files / f"{number}-{path.name}")
        manifest = build_manifest(files)
        (files / MANIFEST).write_bytes(manifest)
        digest = sha256(manifest).hexdigest()
        Registry(home).add_files(candidate.run_id, files, f"{FOLDER}/{digest[:12]}")
    return digest


def load_seeds(
    learner: Retrainer, candidate: Candidate, influence: InfluenceQuality
) -> list[Model]:
    """Load the stored models, after checking that each file is the one that was written.

    Raises:
        ModelError: a file is missing or changed.
    """
    from factory_resources.tracking.registry import Registry

    if influence.digest is None:
        return []
    stored = Registry(learner.home).run_files(candidate.model, candidate.run_id) / FOLDER
    where = f"{candidate.model} version {candidate.version}, influence"
    with learner.home.scratch() as files:
        copy_checked(stored / influence.digest[:12], files, influence.digest, where)
        numbers = sorted({int(path.name.partition("-")[0]) for path in files.iterdir()})
        return [_load(learner, files, number) for number in numbers]


def _load(learner: Retrainer, files: Path, number: int) -> Model:
    spec, shape = learner.single, learner.trained.description.shape
    with learner.home.scratch() as folder:
        for path in files.glob(f"{number}-*"):
            move(path, folder / path.name.partition("-")[2])
        cls = model_class(spec, learner.pipeline.folder)
        return cls.load(spec, shape, folder, learner.pipeline.folder)
