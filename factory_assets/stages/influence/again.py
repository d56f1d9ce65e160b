"""A candidate trained again: on all of its training rows or some, from other seeds.

Preprocessing stays the candidate's, so that only the rows that are learned from differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from factory_assets.spec import Linear, ModelSpec, Pipeline
from factory_assets.spec.network import Network
from factory_assets.stages.artifact import TrainedModel
from factory_assets.stages.models import Model, Rows, Setting, fit_model
from factory_assets.stages.models.base import APART
from factory_assets.stages.target import Target
from factory_resources.home.home import Home

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Again:
    """What the candidate learned from, and how."""

    pipeline: Pipeline
    trained: TrainedModel
    training: Rows
    validation: Rows
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
            setting = Setting(
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


def again(
    pipeline: Pipeline, trained: TrainedModel, training: pa.Table, validation: pa.Table, home: Home
) -> Again:
    """From the tables that the candidate was trained with."""
    import numpy as np

    classes = trained.target.classes
    places = trained.target.values(validation) >= 0 if classes else np.ones(len(validation), bool)
    return Again(
        pipeline,
        trained,
        learned_rows(trained, training),
        learned_rows(trained, validation, np.flatnonzero(places)),
        home,
    )


def learned_rows(trained: TrainedModel, table: pa.Table, rows: Any = None) -> Rows:
    """Rows as the model learns from them."""
    inputs = trained.features.arrays(table, scaled=trained.model.scaled, rows=rows)
    target = _learned(trained.target, table)
    return Rows(inputs, target if rows is None else target[rows])


def _learned(target: Target, table: pa.Table) -> NDArray[Any]:
    values = target.values(table)
    return values if target.classes else target.scaled(values)
