"""The fit of a stage `train` without a search, as a task that other processes do.

How it is fitted belongs in `fitting`, tasks of a search in `trials`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from factory_assets.ml.training.fit_files import save_fit
from factory_assets.ml.training.fit_tasks import FitRows, FitTask
from factory_assets.ml.training.fitting import Progress
from factory_assets.ml.training.trials import Trials, open_trials
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home


class TrainingTask(FitTask):
    """Fit the declared model on all training rows."""

    kind: Literal["training"] = "training"
    rows: FitRows
    checkpoints: Path | None = None
    """As for `train`."""

    @property
    def shared(self) -> FitRows:
        return self.rows

    def prepare(self, pipeline: Pipeline, home: Home) -> Trials:
        return open_trials(pipeline, self.rows, home)

    def run(self, prepared: Trials, files: Path, progress: Progress) -> None:
        save_fit(prepared.fit(None, progress, checkpoints=self.checkpoints), files)
