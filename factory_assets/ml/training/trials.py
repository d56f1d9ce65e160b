"""Run one trial of a search: fit a model with proposed settings and score it.

Also translates between the settings of a model and the values that a search proposes: numbers, and
JSON texts for all other types. Storing trials belongs in `search`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from factory_assets.ml.features.series import series_of
from factory_assets.ml.metrics.metrics import PRIMARY_METRIC, higher_is_better, metric_names
from factory_assets.ml.models.base import TrialPruned
from factory_assets.ml.training.decisions import decide
from factory_assets.ml.training.fit_result import FitResult, load_fit, save_fit
from factory_assets.ml.training.fit_tasks import FitRows, FitTask
from factory_assets.ml.training.fitting import Fitter
from factory_assets.ml.training.held_out import HeldOut
from factory_assets.ml.training.preparation import (
    TrainingData,
    prepare_rows,
    read_training_data,
)
from factory_assets.ml.training.pruning import EpochWatch, FoldWatch, TrialWatch
from factory_assets.ml.training.refit import needs_folds
from factory_assets.spec import Choices, ModelSpec, Pipeline, Span
from factory_assets.spec.evaluate import FAIRNESS
from factory_assets.spec.tune import Tune, declared_value, is_whole, space_of, with_settings
from factory_resources.errors import DataError, DeclarationError, ModelError
from factory_resources.home.home import Home
from factory_resources.progress import Progress
from factory_resources.tracking.studies import Categories, NumberRange, Settings, Space, State

if TYPE_CHECKING:
    import pyarrow as pa

    from factory_assets.ml.metrics.metrics import ScoredRows

_OUTCOME = "outcome.json"


class TrialTask(FitTask):
    """One trial of a search."""

    kind: Literal["trial"] = "trial"
    rows: FitRows
    number: int
    """Its index among the trials of the search."""
    settings: dict[str, Any] | None
    """What was proposed; None for the declared settings, which must not fail."""
    medians: dict[int, float] = {}
    """The loss after each epoch of a network, or after each inner fold, above which the trial is
    given up."""
    seconds: float | None = None
    """Time after which it is given up, from its begin."""
    beats: float | None = None
    """The best metric before the batch: the model of a worse trial is not needed."""
    checkpoints: Path | None = None
    """As for `train`, for this trial alone."""

    @property
    def shared(self) -> FitRows:
        return self.rows

    def prepare(self, pipeline: Pipeline, home: Home) -> Trials:
        rows, model = self.rows, pipeline.spec.training.model
        tables, ready = read_training_data(pipeline, rows.train, rows.validation, home, model)
        return Trials(pipeline, rows, tables, ready, home)

    def named(self, progress: Progress) -> Progress:
        """Return a function that reports what the trial tells, with its number."""
        return lambda text: progress(f"trial {self.number + 1}, {text}")

    def run(self, prepared: Trials, files: Path, progress: Progress) -> None:
        outcome = prepared.outcome(self, self.named(progress))
        if outcome.fitted and prepared.is_better(outcome.value, self.beats):
            save_fit(outcome.fitted, files)
        stored = replace(outcome, fitted=None)
        (files / _OUTCOME).write_text(
            _StoredOutcome(**vars(stored)).model_dump_json(), encoding="utf-8"
        )


@dataclass(frozen=True)
class TrialOutcome:
    """How a trial ended."""

    state: State
    epochs: int
    losses: Mapping[int, float]
    """Step to the loss after it: epochs of a network, on the validation rows; or inner folds."""
    value: float | None = None
    why: str = ""
    validation: Mapping[str, float] | None = None
    """Metrics on the rows that judged it, of a trial that was fitted."""
    fitted: FitResult | None = None
    """None if the model is not needed."""


class _StoredOutcome(BaseModel):
    """A `TrialOutcome` without its model, which has files of its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    state: State
    epochs: int
    losses: dict[int, float]
    value: float | None
    why: str
    validation: dict[str, float] | None
    fitted: None


def read_outcome(files: Path, folder: Path) -> TrialOutcome:
    """Read what a `TrialTask` wrote; the model only if it was stored.

    Args:
        folder: that of the declaration.
    """
    stored = _StoredOutcome.model_validate_json((files / _OUTCOME).read_bytes())
    outcome = TrialOutcome(**dict(stored))
    has_model = len([*files.iterdir()]) > 1
    return replace(outcome, fitted=load_fit(files, folder)) if has_model else outcome


@dataclass(frozen=True)
class Trials:
    """The inputs that all trials of a search share."""

    pipeline: Pipeline
    rows: FitRows
    tables: tuple[pa.Table, pa.Table]
    """Training and validation rows, to prepare again for another window."""
    ready: TrainingData
    """The same rows, prepared for the declared model."""
    home: Home

    @property
    def model(self) -> ModelSpec:
        return self.pipeline.spec.training.model

    @property
    def tune(self) -> Tune:
        return self.pipeline.spec.training.tune or Tune()

    @cached_property
    def space(self) -> Space:
        return dimensions(self.model, self.tune)

    @cached_property
    def metric(self) -> str:
        """The metric that decides: the declared one, or the primary metric of `evaluate`.

        Raises:
            DeclarationError: the metric does not fit the task.
        """
        task = self.ready.target.task
        metric = self.tune.metric or self.pipeline.spec.evaluate.metric or PRIMARY_METRIC[task]
        fitting = [name for name in metric_names(task) if name not in FAIRNESS]
        if metric not in fitting:
            raise DeclarationError(
                f"metric {metric!r} does not fit a {task} target",
                where=f"{self.pipeline.name}/train",
                remedy=f"let train.tune.metric be one of {', '.join(fitting)}",
            )
        return metric

    @cached_property
    def has_folds(self) -> bool:
        """Whether inner folds judge the trials, in place of the validation rows."""
        by_folds = self.tune.folds == "auto"
        return by_folds and needs_folds(self.pipeline, self.ready, self.model)

    def is_better(self, value: float | None, other: float | None) -> bool:
        """Whether a value of the metric is better than another; any is better than none."""
        if value is None or other is None:
            return value is not None
        return value > other if higher_is_better(self.metric) else value < other

    def outcome(self, task: TrialTask, progress: Progress) -> TrialOutcome:
        """Fit and score one trial.

        Raises:
            ModelError: the declared settings cannot be fitted.
            DataError: the declared settings do not yield a finite metric.
        """
        watch = self._watch(task)
        try:
            fitted = self.fit(task.settings, progress, watch, task.checkpoints)
        except TrialPruned as reason:
            return TrialOutcome("pruned", watch.epochs, watch.losses, why=str(reason))
        except (ModelError, ValidationError) as error:
            if task.settings is None:
                raise
            message = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            return TrialOutcome("failed", watch.epochs, watch.losses, why=message)
        value, epochs, losses = self._value(fitted.scored), len(fitted.history), watch.losses
        if value is not None and isfinite(value):
            measured = fitted.validation
            return TrialOutcome("complete", epochs, losses, value, "", measured, fitted)
        if task.settings is None:
            raise DataError(
                f"{self.metric} is undefined on the held-out rows",
                where=f"{self.pipeline.name}/train",
                remedy="give more data, a larger split.validation, or another train.tune.metric",
            )
        return TrialOutcome("failed", epochs, losses, why=f"{self.metric} is not defined")

    def fit(
        self,
        settings: Settings | None,
        progress: Progress,
        watch: TrialWatch | None = None,
        checkpoints: Path | None = None,
    ) -> FitResult:
        """Fit with the given settings, or with the declared ones if they are None.

        Returns:
            What `keep` takes: models of the training rows alone, or of all but an inner fold.

        Raises:
            ModelError: the loss is not a number, or a user's own module fails.
            ValidationError: the model does not allow this combination of settings.
        """
        model = self.model
        if settings is not None:
            model = with_proposed(model, self.space, settings)
        ready, noted = self._ready_for(model), watch or TrialWatch({}, prune=False, seconds=None)

        def after_fold(held_out: HeldOut) -> None:
            scored = decide(self.pipeline, ready.target, held_out).scored
            noted.after_fold(self._value(scored))

        fitter = Fitter(self.pipeline, ready, self.home, model, progress, checkpoints)
        if self.has_folds:
            return fitter.without_folds(noted.after_epoch, after_fold)
        return fitter.once(noted.after_epoch)

    def keep(self, fitted: FitResult, progress: Progress, checkpoints: Path | None) -> FitResult:
        """Let the model of the best trial learn from all rows, as `train.refit` says.

        Raises:
            ModelError: as for `train`.
        """
        model = fitted.trained.description.spec
        ready = self._ready_for(model)
        fitter = Fitter(self.pipeline, ready, self.home, model, progress, checkpoints)
        if not fitted.folds and needs_folds(self.pipeline, ready, model):
            return fitter.fit()
        return fitter.complete(fitted)

    def _ready_for(self, model: ModelSpec) -> TrainingData:
        if series_of(model) == series_of(self.model):
            return self.ready
        return prepare_rows(self.pipeline, *self.tables, model)

    def _watch(self, task: TrialTask) -> TrialWatch:
        medians, prune, seconds = task.medians, self.tune.prune, task.seconds
        if not self.has_folds:
            return EpochWatch(medians, prune=prune, seconds=seconds)
        maximise = higher_is_better(self.metric)
        return FoldWatch(medians, prune=prune, seconds=seconds, maximise=maximise)

    def _value(self, rows: ScoredRows) -> float | None:
        """Return the metric, with the clip and asymmetry that `evaluate` declares for it."""
        scored = rows.as_declared(self.pipeline.spec.evaluate)
        return scored.metrics({self.metric}).get(self.metric)


def dimensions(model: ModelSpec, tune: Tune) -> Space:
    """Return the space to search, by the name of each setting."""
    return {
        name: _dimension(model, name, allowed) for name, allowed in space_of(model, tune).items()
    }


def _dimension(model: ModelSpec, name: str, allowed: Span | Choices) -> NumberRange | Categories:
    if isinstance(allowed, Choices):
        return Categories(tuple(dict.fromkeys(map(json.dumps, allowed.values))))
    low, high = allowed.range
    return NumberRange(low, high, log=allowed.log, whole=is_whole(model, name, allowed))


def declared_settings(model: ModelSpec, space: Space) -> Settings:
    """Return the declared values of the settings in the space."""
    values = {name: declared_value(model, name) for name in space}
    return {n: json.dumps(v) if isinstance(space[n], Categories) else v for n, v in values.items()}


def with_proposed(model: ModelSpec, space: Space, settings: Settings) -> ModelSpec:
    """Return the model with the proposed settings.

    Raises:
        ValidationError: the model does not allow this combination of settings.
    """
    values: dict[str, Any] = {
        name: json.loads(value) if isinstance(space[name], Categories) else value
        for name, value in settings.items()
    }
    return with_settings(model, values)
