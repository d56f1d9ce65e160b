"""Fit one model on prepared rows: once or without each inner fold, and then on all of them.

Preparing the rows belongs in `preparation`, trying several settings in `search`, choosing
calibration and threshold in `decisions`, the result of a fit in `fit_result`; MLflow is not used
here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.ml.artifacts.trained_model import (
    Description,
    TrainedModel,
    model_shape,
)
from factory_assets.ml.metrics.declared import require_judgeable
from factory_assets.ml.models.base import (
    EpochCallback,
    FitApart,
    FitContext,
    FitMembers,
    balanced_weights,
)
from factory_assets.ml.models.budget import Share, open_account
from factory_assets.ml.models.kinds import model_class
from factory_assets.ml.models.portfolio.defaults import resolve_members
from factory_assets.ml.training.decisions import Decisions, decide
from factory_assets.ml.training.fit_result import FitResult
from factory_assets.ml.training.held_out import HeldOut
from factory_assets.ml.training.leaderboard import leaderboard
from factory_assets.ml.training.preparation import TrainingData, prepare_rows
from factory_assets.ml.training.refit import (
    AfterFold,
    fit_again,
    fit_folds,
    fit_part,
    needs_folds,
    reason_against_refit,
)
from factory_assets.ml.training.regions import held_out_regions
from factory_assets.results.model import Refit
from factory_assets.results.training import Stopped
from factory_assets.results.uncertainty import RegionBounds
from factory_assets.spec import ModelSpec, Pipeline
from factory_assets.spec.losses import default_loss
from factory_assets.spec.models import Auto, Boosting, Network
from factory_assets.spec.train import Task
from factory_resources.errors import DeclarationError, ModelError
from factory_resources.home.home import Home
from factory_resources.progress import Progress

if TYPE_CHECKING:
    import pyarrow as pa


def no_progress(_: str) -> None:
    pass


def fit(
    pipeline: Pipeline,
    training: pa.Table,
    validation: pa.Table,
    home: Home,
    *,
    model: ModelSpec | None = None,
    before: Stopped | None = None,
    progress: Progress | None = None,
    checkpoints: Path | None = None,
) -> FitResult:
    """Prepare the rows and fit, without MLflow and without a search.

    Args:
        model: fitted in place of the declared model, for example a baseline.
        before: where the budget stopped an earlier training that this one repeats.
        checkpoints: as for `train`.

    Raises:
        DataError, ModelError, DeclarationError: as for `train`.
    """
    chosen = model or pipeline.spec.training.model
    ready = prepare_rows(pipeline, training, validation, chosen)
    fitter = Fitter(pipeline, ready, home, chosen, progress or no_progress, checkpoints)
    return fitter.fit(before)


def try_out(pipeline: Pipeline, ready: TrainingData, home: Home) -> None:
    """Find out before a training of hours whether what it makes could be served.

    Raises:
        ModelError, DeclarationError: a user's own module fails, or cannot be exported.
    """
    model = pipeline.spec.training.model
    with home.scratch() as scratch:
        context = fit_context(pipeline, ready, model, scratch)
        model_class(model, pipeline.folder).try_out(context, ready.rows.inputs)


@dataclass(frozen=True)
class Fitter:
    """Fits one model on rows that were prepared for its kind and window."""

    pipeline: Pipeline
    ready: TrainingData
    home: Home
    model: ModelSpec
    progress: Progress = no_progress
    checkpoints: Path | None = None
    """As for `train`."""
    members: FitMembers | None = None
    """Fits the members of an ensemble of networks; None if they are fitted here."""
    fit_apart: FitApart | None = None
    """Does the fits of a portfolio; None if they are done here."""

    def __post_init__(self) -> None:
        require_judgeable(self.pipeline, self.ready.target.task)
        _require_loss_fits(self.model, self.ready.target.task)

    def fit(self, before: Stopped | None = None) -> FitResult:
        """Fit, and by `train.refit` again on training and validation rows at the end.

        Args:
            before: where the budget stopped an earlier training that this one repeats.

        Raises:
            ModelError, DeclarationError: as for `train`.
        """
        if needs_folds(self.pipeline, self.ready, self.model):
            return self.complete(self.without_folds())
        return self.complete(self.once(before=before))

    def without_folds(
        self, watch: EpochCallback | None = None, after_fold: AfterFold | None = None
    ) -> FitResult:
        """Fit without each inner fold in turn; the rows of all folds decide.

        Args:
            watch: called after each epoch of a network; an exception that it raises ends the fits.
            after_fold: as for `fit_folds`.

        Returns:
            The model of the first fold, with what was decided; `complete` fits the one to keep.

        Raises:
            ModelError, DeclarationError: as for `train`.
        """
        with self.home.scratch() as scratch:
            context = replace(self._context(self.model, scratch), watch=watch, followed=True)
            held_out = fit_folds(context, self.ready, after_fold)
        return _decided(self.pipeline, self.ready, self.model, held_out)

    def once(self, watch: EpochCallback | None = None, before: Stopped | None = None) -> FitResult:
        """Fit on the training rows alone; the validation rows decide when to stop.

        A portfolio alone learns from both, once its members are weighted.

        Args:
            watch: called after each epoch of a network; an exception that it raises ends the fit.
            before: as for `fit`.

        Raises:
            ModelError, DeclarationError: as for `train`.
        """
        spec, ready = self.pipeline.spec.training, self.ready
        stops = model_class(self.model, self.pipeline.folder).stops
        if spec.budget and self.model == spec.model and not stops:
            raise ModelError(
                "models of scikit-learn are fitted in one step, which no budget can stop",
                where="train.budget",
                remedy="leave the budget out, or choose a network, lightgbm or auto",
            )
        # Only these resume after a kill; other models start again, with the whole budget.
        resumes = isinstance(self.model, Network | Auto)
        metered = spec.budget if stops and spec.budget and spec.budget.is_metered else None
        trials = spec.budget.trials if spec.budget else None
        targets = ready.rows.target, ready.validation.target
        columns = ready.features.width + sum(ready.features.cardinalities)
        loss = default_loss(self.pipeline.spec.evaluate.metric)
        model = resolve_members(self.model, targets, columns, trials, loss)
        with (
            self.home.scratch() as scratch,
            open_account(metered, before, self.checkpoints if resumes else None) as account,
        ):
            context = replace(
                self._context(model, scratch),
                watch=watch,
                budget=Share(account) if account else None,
                members=self.members,
                fit_apart=self.fit_apart,
                followed=reason_against_refit(self.pipeline, ready, model) is None,
            )
            held_out = fit_part(context, ready)
            stopped = account.stopped() if account else None
        return replace(_decided(self.pipeline, ready, model, held_out), stopped=stopped)

    def complete(self, fitted: FitResult) -> FitResult:
        """Fit again, on training and validation rows, once those that were held out have decided.

        Args:
            fitted: returned by `once` or `without_folds`.

        Returns:
            The same decisions with the new model; or what was given, with the reason against it.

        Raises:
            ModelError: as for `train`.
        """
        model = fitted.trained.description.spec
        if reason := reason_against_refit(self.pipeline, self.ready, model):
            asked = self.pipeline.spec.training.refit != "never"
            return replace(fitted, refit=Refit(reason=reason)) if asked else fitted
        if fitted.portfolio:
            folds = fitted.portfolio.folds
            return replace(fitted, refit=Refit(folds=folds if folds > 1 else None))
        with self.home.scratch() as scratch:
            context = replace(self._context(model, scratch), members=self.members)
            again = fit_again(context, self.ready, fitted.rounds)
        return replace(
            fitted,
            trained=TrainedModel(fitted.trained.description, again.model),
            halved=fitted.halved or again.halved,
            refit=Refit(rounds=fitted.rounds, folds=fitted.folds),
        )

    def _context(self, model: ModelSpec, scratch: Path) -> FitContext:
        return fit_context(
            self.pipeline, self.ready, model, scratch, self.progress, self.checkpoints
        )


def _require_loss_fits(model: ModelSpec, task: Task) -> None:
    """Refuse to lower an absolute error where classes are learned.

    Raises:
        DeclarationError: the model, or a member of it, is declared so.
    """
    members = (model.members or ()) if isinstance(model, Auto) else ()
    losses = [one.loss for one in (model, *members) if isinstance(one, Auto | Boosting)]
    if task != "regression" and "absolute_error" in losses:
        raise DeclarationError(
            "loss absolute_error is for numbers, and the target has classes",
            where="train.model.loss",
            remedy="leave loss out",
        )


def _decided(
    pipeline: Pipeline, ready: TrainingData, model: ModelSpec, held_out: HeldOut
) -> FitResult:
    """Choose calibration, threshold and bounds on rows that the models have not learned from."""
    learned, decisions = held_out.fit, decide(pipeline, ready.target, held_out)
    description = Description(
        spec=model,
        # What a process of these stages needs says nothing of the rows.
        ingest=pipeline.spec.ingest.model_copy(update={"resources": None}),
        clean=pipeline.spec.clean.model_copy(update={"resources": None}),
        features=ready.features,
        target=ready.target,
        threshold=decisions.threshold,
        calibration=decisions.calibration,
        regions=_regions(pipeline, ready, held_out, decisions),
    )
    return FitResult(
        TrainedModel(description, learned.model),
        learned.history,
        learned.best_epoch,
        decisions.scored,
        halved=learned.halved,
        rounds=held_out.rounds,
        folds=held_out.folds,
        portfolio=leaderboard(pipeline, model, ready.target, held_out.truth, learned.judged),
        costs=learned.judged.costs if learned.judged else (),
    )


def _regions(
    pipeline: Pipeline, ready: TrainingData, held_out: HeldOut, decisions: Decisions
) -> RegionBounds | None:
    declared, places = pipeline.spec.training.uncertainty, held_out.places
    if declared is None:
        return None
    rows = ready.validation if places is None else ready.all_rows.take(places)
    outputs = decisions.outputs
    return held_out_regions(declared, ready.features, ready.target, rows, held_out.truth, outputs)


def fit_context(
    pipeline: Pipeline,
    ready: TrainingData,
    model: ModelSpec,
    scratch: Path,
    progress: Progress = no_progress,
    checkpoints: Path | None = None,
) -> FitContext:
    """Return what a fit on prepared rows needs, without a watch or a budget.

    Args:
        scratch: a folder for files that are not needed after the fit.
        checkpoints: as for `train`.
    """
    spec, target = pipeline.spec.training, ready.target
    is_balanced = target.classes and spec.class_weights == "balanced"
    return FitContext(
        spec=model,
        shape=model_shape(ready.features, target),
        seed=spec.seed,
        class_weights=balanced_weights(ready.rows.target, target.outputs) if is_balanced else None,
        folder=pipeline.folder,
        scratch=scratch,
        progress=progress,
        trainer=spec.trainer,
        checkpoints=checkpoints,
        mapped=ready.mapped,
        folds=ready.folds,
        without_fold=ready.statistics.without if ready.statistics else None,
        whole=spec.refit != "never",
    )
