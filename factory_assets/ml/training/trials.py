"""Run one trial of a search: fit a model with proposed settings and score it.

Also translates between the settings of a model and the values that a search proposes: numbers, and
JSON texts for all other types. Storing trials belongs in `search`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from factory_assets.ml.features.series import series_of
from factory_assets.ml.models.base import EpochCallback, TrialPruned
from factory_assets.ml.training.fitting import FitResult, Progress, fit_prepared
from factory_assets.ml.training.preparation import TrainingData, prepare_rows
from factory_assets.results.model import Epoch
from factory_assets.spec import Choices, ModelSpec, Pipeline, Span
from factory_assets.spec.tune import Tune, declared_value, is_whole, space_of, with_settings
from factory_resources.errors import DataError, ModelError
from factory_resources.home.home import Home
from factory_resources.tracking.studies import Numbers, OpenTrial, Settings, Space, State, Words

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TrialOutcome:
    """How a trial ended."""

    state: State
    epochs: int
    value: float | None = None
    why: str = ""
    fitted: FitResult | None = None


@dataclass(frozen=True)
class Trials:
    """The inputs that all trials of a search share."""

    pipeline: Pipeline
    tables: tuple[pa.Table, pa.Table]
    """Training and validation rows, to prepare again for another window."""
    ready: TrainingData
    """The same rows, prepared for the declared model."""
    home: Home
    metric: str

    @property
    def model(self) -> ModelSpec:
        return self.pipeline.spec.training.model

    @property
    def tune(self) -> Tune:
        return self.pipeline.spec.training.tune or Tune()

    @cached_property
    def space(self) -> Space:
        return dimensions(self.model, self.tune)

    def outcome(
        self,
        trial: OpenTrial,
        progress: Progress,
        *,
        declared: bool,
        deadline: float | None,
        checkpoints: Path | None,
    ) -> TrialOutcome:
        """Fit and score one trial.

        Args:
            declared: whether to fit the declared settings, which must not fail, instead of those of
                the trial.
            deadline: time of the monotonic clock in seconds, after which a network is pruned.
            checkpoints: as for `train`, for this trial alone.

        Raises:
            ModelError: the declared settings cannot be fitted.
            DataError: the declared settings do not yield a finite metric.
        """
        watch = EpochWatch(trial.is_hopeless, prune=self.tune.prune, deadline=deadline)
        try:
            settings = None if declared else trial.settings
            fitted = self.fit(settings, progress, watch, checkpoints)
        except TrialPruned as reason:
            return TrialOutcome("pruned", watch.epochs, why=str(reason))
        except (ModelError, ValidationError) as error:
            if declared:
                raise
            message = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            return TrialOutcome("failed", watch.epochs, why=message)
        value, epochs = self._value(fitted), len(fitted.history)
        if value is not None and isfinite(value):
            return TrialOutcome("complete", epochs, value, fitted=fitted)
        if declared:
            raise DataError(
                f"{self.metric} is undefined on the validation rows",
                where=f"{self.pipeline.name}/train",
                remedy="give more data, a larger split.validation, or another train.tune.metric",
            )
        return TrialOutcome("failed", epochs, why=f"{self.metric} is not defined")

    def fit(
        self,
        settings: Settings | None,
        progress: Progress,
        watch: EpochCallback | None = None,
        checkpoints: Path | None = None,
    ) -> FitResult:
        """Fit with the given settings, or with the declared ones if they are None.

        Raises:
            ModelError: the loss is not a number, or a user's own module fails.
            ValidationError: the model does not allow this combination of settings.
        """
        model, ready = self.model, self.ready
        if settings is not None:
            model = with_proposed(model, self.space, settings)
        if series_of(model) != series_of(self.model):
            ready = prepare_rows(self.pipeline, *self.tables, model)
        return fit_prepared(self.pipeline, ready, self.home, model, progress, watch, checkpoints)

    def _value(self, fitted: FitResult) -> float | None:
        """Return the metric, with the clip and asymmetry that `evaluate` declares for it."""
        evaluate = self.pipeline.spec.evaluate
        clip = None if evaluate.clip is None else float(evaluate.clip)
        scored = replace(fitted.scored, clip=clip, asymmetry=evaluate.asymmetry)
        return scored.metrics({self.metric}).get(self.metric)


class EpochWatch:
    """Count the epochs of a network; end the trial if it is hopeless or past the deadline."""

    def __init__(
        self,
        is_hopeless: Callable[[int, float], bool],
        *,
        prune: bool,
        deadline: float | None,
    ) -> None:
        self._is_hopeless, self._prune, self._deadline = is_hopeless, prune, deadline
        self.epochs = 0

    def __call__(self, epoch: Epoch) -> None:
        self.epochs += 1
        if self._is_hopeless(epoch.epoch, epoch.validation_loss) and self._prune:
            raise TrialPruned(f"after {self.epochs} epochs half of the others had been better")
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise TrialPruned("the time was over")


def dimensions(model: ModelSpec, tune: Tune) -> Space:
    """Return the space to search, by the name of each setting."""
    return {
        name: _dimension(model, name, allowed) for name, allowed in space_of(model, tune).items()
    }


def _dimension(model: ModelSpec, name: str, allowed: Span | Choices) -> Numbers | Words:
    if isinstance(allowed, Choices):
        return Words(tuple(dict.fromkeys(map(json.dumps, allowed.values))))
    low, high = allowed.range
    return Numbers(low, high, log=allowed.log, whole=is_whole(model, name, allowed))


def declared_settings(model: ModelSpec, space: Space) -> Settings:
    """Return the declared values of the settings in the space."""
    values = {name: declared_value(model, name) for name in space}
    return {n: json.dumps(v) if isinstance(space[n], Words) else v for n, v in values.items()}


def with_proposed(model: ModelSpec, space: Space, settings: Settings) -> ModelSpec:
    """Return the model with the proposed settings.

    Raises:
        ValidationError: the model does not allow this combination of settings.
    """
    values: dict[str, Any] = {
        name: json.loads(value) if isinstance(space[name], Words) else value
        for name, value in settings.items()
    }
    return with_settings(model, values)
