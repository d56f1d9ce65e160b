"""The fit of a stage `train` without a search, as a task that other processes do.

How it is fitted belongs in `fitting`, tasks of a search in `trials`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from factory_assets.ml.training.fit_result import save_fit
from factory_assets.ml.training.fit_tasks import FitRows, FitTask
from factory_assets.ml.training.fitting import Fitter
from factory_assets.ml.training.preparation import TrainingData, read_training_data
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.progress import Progress


class TrainingTask(FitTask):
    """Fit the declared model on all training rows."""

    kind: Literal["training"] = "training"
    rows: FitRows
    checkpoints: Path | None = None
    """As for `train`."""

    @property
    def shared(self) -> FitRows:
        return self.rows

    def prepare(self, pipeline: Pipeline, home: Home) -> tuple[Pipeline, TrainingData, Home]:
        model = pipeline.spec.training.model
        _, ready = read_training_data(pipeline, self.rows.train, self.rows.validation, home, model)
        return pipeline, ready, home

    def run(
        self, prepared: tuple[Pipeline, TrainingData, Home], files: Path, progress: Progress
    ) -> None:
        model = prepared[0].spec.training.model
        save_fit(Fitter(*prepared, model, progress, self.checkpoints).fit(), files)
