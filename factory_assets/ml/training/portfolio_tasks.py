"""Fits of a portfolio's members as independent fits: without a fold, or on all rows.

What such a fit does belongs in `ml.models.portfolio`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from factory_assets.ml.models.base import FitContext, MemberFit
from factory_assets.ml.models.kinds import model_class
from factory_assets.ml.models.portfolio.blend import BlendModel
from factory_assets.ml.models.portfolio.member import PortfolioRows
from factory_assets.ml.training.fit_tasks import FitExecutor, FitRows, FitTask
from factory_assets.ml.training.fitting import fit_context
from factory_assets.ml.training.preparation import TrainingData, read_training_data
from factory_assets.spec import Pipeline
from factory_assets.spec.models import Auto
from factory_resources.home.home import Home
from factory_resources.progress import Progress


class PortfolioTask(FitTask):
    """One fit of a member."""

    kind: Literal["portfolio"] = "portfolio"
    rows: FitRows
    model: Auto
    """With all members that are tried."""
    fit: MemberFit
    checkpoints: Path | None = None
    """As for `train`, for all fits."""

    @property
    def shared(self) -> FitRows:
        return self.rows

    def prepare(self, pipeline: Pipeline, home: Home) -> PreparedPortfolio:
        _, ready = read_training_data(
            pipeline, self.rows.train, self.rows.validation, home, self.model
        )
        return PreparedPortfolio(pipeline, ready, home)

    def run(self, prepared: PreparedPortfolio, files: Path, progress: Progress) -> None:
        prepared.fit(self, files, progress)


@dataclass(frozen=True)
class PreparedPortfolio:
    """The rows that every member is fitted on."""

    pipeline: Pipeline
    ready: TrainingData
    home: Home

    def fit(self, task: PortfolioTask, files: Path, progress: Progress) -> None:
        """Do the fit of a task."""
        pipeline, ready = self.pipeline, self.ready
        cls = cast("type[BlendModel]", model_class(task.model, pipeline.folder))
        with self.home.scratch() as scratch:
            context = fit_context(pipeline, ready, task.model, scratch, progress, task.checkpoints)
            PortfolioRows(cls.classes, context, ready.rows, ready.validation).fit(task.fit, files)


@dataclass(frozen=True)
class PortfolioExecutor:
    """Lets an executor fit the members of the declared portfolio."""

    executor: FitExecutor
    rows: FitRows

    def __call__(self, context: FitContext, fits: Sequence[MemberFit]) -> Iterator[Path]:
        """Do the fits, and yield the files of each, in their order."""
        model = cast(Auto, context.spec)
        tasks = [
            PortfolioTask(rows=self.rows, model=model, fit=fit, checkpoints=context.checkpoints)
            for fit in fits
        ]
        for done in self.executor.map(tasks, context.progress):
            yield done.files
