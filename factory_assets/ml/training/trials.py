"""One trial of a search: a model with some settings, fitted, and what became of it. No database.

Between the settings of a model and what a search proposes: numbers, and words for all others.
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
from factory_assets.ml.models.base import TrialPruned, Watch
from factory_assets.ml.training.fitting import FitResult, Progress, fit_ready
from factory_assets.ml.training.preparation import TrainingData, make_ready
from factory_assets.results.model import Epoch
from factory_assets.spec import Choices, ModelSpec, Pipeline, Span
from factory_assets.spec.tune import Tune, declared_value, is_whole, space_of, with_settings
from factory_resources.errors import DataError, ModelError
from factory_resources.home.home import Home
from factory_resources.tracking.studies import Numbers, Settings, Space, State, Words
from factory_resources.tracking.studies import OpenTrial as Asked

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TrialOutcome:
    """What became of a trial."""

    state: State
    epochs: int
    value: float | None = None
    why: str = ""
    fitted: FitResult | None = None


@dataclass(frozen=True)
class Trials:
    """What all trials of a search have in common."""

    pipeline: Pipeline
    tables: tuple[pa.Table, pa.Table]
    """Training and validation rows, from which another window is made ready anew."""
    ready: TrainingData
    """What they are for the declared model."""
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
        asked: Asked,
        progress: Progress,
        *,
        declared: bool,
        deadline: float | None,
        checkpoints: Path | None,
    ) -> TrialOutcome:
        """Fit and score; the declared settings are neither given up nor allowed to fail.

        Args:
            deadline: on the monotonic clock.
            checkpoints: as of `train`, for this trial alone.

        Raises:
            ModelError, DataError: as `fit`, for the declared settings.
        """
        watch = EpochWatch(asked.is_hopeless, prune=self.tune.prune, deadline=deadline)
        try:
            settings = None if declared else asked.settings
            fitted = self.fit(settings, progress, watch, checkpoints)
        except TrialPruned as reason:
            return TrialOutcome("pruned", watch.epochs, why=str(reason))
        except (ModelError, ValidationError) as error:
            if declared:
                raise
            says = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            return TrialOutcome("failed", watch.epochs, why=says)
        value, epochs = self._value(fitted), len(fitted.history)
        if value is not None and isfinite(value):
            return TrialOutcome("complete", epochs, value, fitted=fitted)
        if declared:
            raise DataError(
                f"the validation rows do not define {self.metric}",
                where=f"{self.pipeline.name}/train",
                remedy="give more data, a larger split.validation, or another train.tune.metric",
            )
        return TrialOutcome("failed", epochs, why=f"{self.metric} is not defined")

    def fit(
        self,
        settings: Settings | None,
        progress: Progress,
        watch: Watch | None = None,
        checkpoints: Path | None = None,
    ) -> FitResult:
        """Fit with some settings, or with the declared ones.

        Raises:
            ModelError: when the loss is not a number, or a user's own module fails.
            ValidationError: a model cannot have such settings together.
        """
        model, ready = self.model, self.ready
        if settings is not None:
            model = with_proposed(model, self.space, settings)
        if series_of(model) != series_of(self.model):
            ready = make_ready(self.pipeline, *self.tables, model)
        return fit_ready(self.pipeline, ready, self.home, model, progress, watch, checkpoints)

    def _value(self, fitted: FitResult) -> float | None:
        """The metric, which may need what `evaluate` says of it."""
        evaluate = self.pipeline.spec.evaluate
        clip = None if evaluate.clip is None else float(evaluate.clip)
        scored = replace(fitted.scored, clip=clip, asymmetry=evaluate.asymmetry)
        return scored.metrics({self.metric}).get(self.metric)


class EpochWatch:
    """Counts the epochs of a network, and gives it up where it is hopeless or too late."""

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
    """What is searched."""
    return {name: _dimension(model, name, where) for name, where in space_of(model, tune).items()}


def _dimension(model: ModelSpec, name: str, where: Span | Choices) -> Numbers | Words:
    if isinstance(where, Choices):
        return Words(tuple(dict.fromkeys(map(json.dumps, where.values))))
    low, high = where.range
    return Numbers(low, high, log=where.log, whole=is_whole(model, name, where))


def declared_settings(model: ModelSpec, space: Space) -> Settings:
    """What of the space the declaration says itself."""
    found = {name: declared_value(model, name) for name in space}
    return {n: json.dumps(v) if isinstance(space[n], Words) else v for n, v in found.items()}


def with_proposed(model: ModelSpec, space: Space, settings: Settings) -> ModelSpec:
    """The model that a trial is about.

    Raises:
        ValidationError: it cannot have such settings together.
    """
    found: dict[str, Any] = {
        name: json.loads(value) if isinstance(space[name], Words) else value
        for name, value in settings.items()
    }
    return with_settings(model, found)
