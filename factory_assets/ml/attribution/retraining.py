"""A candidate trained again: on all of its training rows or some, from other seeds.

Preprocessing stays the candidate's, so that only the rows that are learned from differ.

The networks of further seeds, kept with the candidate in MLflow under a digest manifest.

With them, the candidate and its training rows any list of influences is made without training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from shutil import move
from typing import TYPE_CHECKING, Any

from factory_assets.ml.artifacts.trained_model import (
    MANIFEST,
    TrainedModel,
    copy_checked,
    manifest_of,
)
from factory_assets.ml.features.arrays import LabelledArrays
from factory_assets.ml.features.target import Target
from factory_assets.ml.models.base import APART, FitContext, Model
from factory_assets.ml.models.kinds import fit_model, model_class
from factory_assets.results.evaluation import InfluenceQuality
from factory_assets.results.model import Candidate
from factory_assets.spec import Linear, ModelSpec, Pipeline
from factory_assets.spec.models import Network
from factory_resources.home.home import Home

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Retrainer:
    """What the candidate learned from, and how."""

    pipeline: Pipeline
    trained: TrainedModel
    training: LabelledArrays
    validation: LabelledArrays
    home: Home

    @property
    def single(self) -> ModelSpec:
        """What is trained again: one network, where the candidate may be several."""
        spec = self.trained.description.spec
        return spec.model_copy(update={"ensemble": 1}) if isinstance(spec, Network) else spec

    @property
    def own(self) -> int:
        """How many seeds the candidate itself was trained from."""
        spec = self.trained.description.spec
        return spec.ensemble if isinstance(spec, Network) else 1

    def seeds(self, asked: int) -> int:
        """How many seeds there are: linear models are the same from every one."""
        return 1 if isinstance(self.single, Linear) else asked

    def weights(self, target: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """[classes], where they are balanced."""
        import numpy as np

        classes = len(self.trained.target.classes)
        if not classes or self.pipeline.spec.training.class_weights != "balanced":
            return None
        counts = np.bincount(target, minlength=classes)
        weights: NDArray[np.float64] = len(target) / (classes * counts)
        return weights

    def fit(self, rows: NDArray[np.int64] | None, seed: int) -> Model:
        """Train on some of the rows, or on all; seeds 0, 1, … are those of an ensemble."""
        training = self.training if rows is None else self.training.take(rows)
        with self.home.scratch() as scratch:
            setting = FitContext(
                spec=self.single,
                shape=self.trained.description.shape,
                seed=self.pipeline.spec.training.seed + APART * seed,
                class_weights=self.weights(training.target),
                folder=self.pipeline.folder,
                scratch=scratch,
                progress=lambda _: None,
                trainer=self.pipeline.spec.training.trainer,
            )
            return fit_model(setting, training, self.validation).model


def make_retrainer(
    pipeline: Pipeline, trained: TrainedModel, training: pa.Table, validation: pa.Table, home: Home
) -> Retrainer:
    """From the tables that the candidate was trained with."""
    import numpy as np

    classes = trained.target.classes
    places = trained.target.values(validation) >= 0 if classes else np.ones(len(validation), bool)
    return Retrainer(
        pipeline,
        trained,
        learned_rows(trained, training),
        learned_rows(trained, validation, np.flatnonzero(places)),
        home,
    )


def learned_rows(trained: TrainedModel, table: pa.Table, rows: Any = None) -> LabelledArrays:
    """Rows as the model learns from them."""
    inputs = trained.features.arrays(table, scaled=trained.model.scaled, rows=rows)
    target = _learned(trained.target, table)
    return LabelledArrays(inputs, target if rows is None else target[rows])


def _learned(target: Target, table: pa.Table) -> NDArray[Any]:
    values = target.values(table)
    return values if target.classes else target.scaled(values)


FOLDER = "influence"


def keep_seeds(models: Sequence[Model], candidate: Candidate, home: Home) -> str | None:
    """Store the models with the candidate's run; the manifest's SHA-256, None without models."""
    from factory_resources.tracking.registry import Registry

    if not models:
        return None
    with home.scratch() as files:
        for number, model in enumerate(models):
            with home.scratch() as apart:
                model.save(apart)
                for path in apart.iterdir():
                    move(path, files / f"{number}-{path.name}")
        manifest = manifest_of(files)
        (files / MANIFEST).write_bytes(manifest)
        digest = sha256(manifest).hexdigest()
        Registry(home).add_files(candidate.run_id, files, f"{FOLDER}/{digest[:12]}")
    return digest


def load_seeds(
    learner: Retrainer, candidate: Candidate, influence: InfluenceQuality
) -> list[Model]:
    """What was kept, each file proven to be what was written.

    Raises:
        ModelError: a file is missing or changed.
    """
    from factory_resources.tracking.registry import Registry

    if influence.digest is None:
        return []
    kept = Registry(learner.home).run_files(candidate.model, candidate.run_id) / FOLDER
    where = f"{candidate.model} version {candidate.version}, influence"
    with learner.home.scratch() as files:
        copy_checked(kept / influence.digest[:12], files, influence.digest, where)
        numbers = sorted({int(path.name.partition("-")[0]) for path in files.iterdir()})
        return [_load(learner, files, number) for number in numbers]


def _load(learner: Retrainer, files: Path, number: int) -> Model:
    spec, shape = learner.single, learner.trained.description.shape
    with learner.home.scratch() as apart:
        for path in files.glob(f"{number}-*"):
            move(path, apart / path.name.partition("-")[2])
        cls = model_class(spec, learner.pipeline.folder)
        return cls.load(spec, shape, apart, learner.pipeline.folder)
