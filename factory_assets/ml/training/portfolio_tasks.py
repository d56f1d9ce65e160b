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
from factory_assets.ml.training.fit_tasks import FitExecutor, FitRows
from factory_assets.ml.training.fitting import fit_context
from factory_assets.ml.training.training_task import PreparedTraining, RowsTask
from factory_assets.spec import Pipeline
from factory_assets.spec.models import Auto
from factory_resources.progress import Progress


class PortfolioTask(RowsTask):
    """One fit of a member."""

    kind: Literal["portfolio"] = "portfolio"
    model: Auto
    """With all members that are tried."""
    fit: MemberFit

    def fitted_model(self, pipeline: Pipeline) -> Auto:
        return self.model

    def run(self, prepared: PreparedTraining, files: Path, progress: Progress) -> None:
        pipeline, ready = prepared.pipeline, prepared.ready
        cls = cast("type[BlendModel]", model_class(self.model, pipeline.folder))
        with prepared.home.scratch() as scratch:
            context = fit_context(pipeline, ready, self.model, scratch, progress, self.checkpoints)
            PortfolioRows(cls.classes, context, ready.rows, ready.validation).fit(self.fit, files)


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
