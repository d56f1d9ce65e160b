"""Fits on the rows of a stage `train`, as tasks that other processes do.

How a model is fitted belongs in `fitting`, tasks of a search in `trials`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from factory_assets.ml.training.fit_result import save_fit
from factory_assets.ml.training.fit_tasks import FitRows, FitTask
from factory_assets.ml.training.fitting import Fitter
from factory_assets.ml.training.preparation import TrainingData, read_training_data
from factory_assets.spec import ModelSpec, Pipeline
from factory_resources.home.home import Home
from factory_resources.progress import Progress


@dataclass(frozen=True)
class PreparedTraining:
    """The rows that several tasks fit on."""

    pipeline: Pipeline
    ready: TrainingData
    home: Home


class RowsTask(FitTask):
    """A fit on training and validation rows."""

    rows: FitRows
    checkpoints: Path | None = None
    """As for `train`, for all tasks with these rows."""

    @property
    def shared(self) -> FitRows:
        return self.rows

    def fitted_model(self, pipeline: Pipeline) -> ModelSpec:
        """Return the model for which the rows are prepared."""
        return pipeline.spec.training.model

    def prepare(self, pipeline: Pipeline, home: Home) -> PreparedTraining:
        train, validation = self.rows.train, self.rows.validation
        model = self.fitted_model(pipeline)
        _, ready = read_training_data(pipeline, train, validation, home, model)
        return PreparedTraining(pipeline, ready, home)


class TrainingTask(RowsTask):
    """Fit the declared model on all training rows."""

    kind: Literal["training"] = "training"

    def run(self, prepared: PreparedTraining, files: Path, progress: Progress) -> None:
        model = self.fitted_model(prepared.pipeline)
        fitter = Fitter(
            prepared.pipeline, prepared.ready, prepared.home, model, progress, self.checkpoints
        )
        save_fit(fitter.fit(), files)
