"""Search for settings that score better on the validation rows than the declared ones.

The declared settings are the first trial, so that the result is never worse there than without a
search. Each trial is an MLflow run below the candidate's run, and is stored in a study when it
ends: a search that was killed resumes after its last stored trial. How one trial is fitted and
scored belongs in `trials`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING
from uuid import uuid4

from factory_assets.ml.metrics.metrics import PRIMARY_METRIC, higher_is_better, metric_names
from factory_assets.ml.models.kinds import model_class
from factory_assets.ml.models.networks.model import NetworkModel
from factory_assets.ml.training.fitting import FitResult, Progress
from factory_assets.ml.training.preparation import TrainingData
from factory_assets.ml.training.trials import TrialOutcome, Trials, declared_settings
from factory_assets.results.model import Trial, Tuned
from factory_assets.spec import Pipeline
from factory_assets.spec.models import Network, OwnModule
from factory_assets.spec.tune import ARGS
from factory_resources.errors import DeclarationError
from factory_resources.home.home import Home, storage_errors
from factory_resources.metering.meter import Meter, Rates
from factory_resources.tracking import studies
from factory_resources.tracking.run import RegistryRun, Status, open_child

if TYPE_CHECKING:
    import pyarrow as pa


_STATUS: Mapping[studies.State, Status] = {
    "complete": "FINISHED",
    "pruned": "KILLED",
    "failed": "FAILED",
}

WARMUP_DIVISOR = 4
"""No network is pruned in the first 1/WARM of its epochs, while the learning rate still rises."""


def search(
    pipeline: Pipeline,
    tables: tuple[pa.Table, pa.Table],
    ready: TrainingData,
    home: Home,
    run: RegistryRun,
    progress: Progress,
    checkpoints: Path | None,
) -> tuple[FitResult, Tuned]:
    """Return the best model, and how it was found.

    Args:
        tables: the training and the validation rows.
        ready: the same rows, prepared for the declared model.
        run: the candidate's.
        checkpoints: a folder for this computation alone; if it exists, the search that left it is
            resumed. None for a search that is never resumed.

    Raises:
        DataError: the metric is undefined on the validation rows.
        DeclarationError: the metric does not fit the task, or a setting does not fit the user's
            model.
        ModelError: the declared settings cannot be trained.
        StorageError: the trials cannot be stored.
    """
    trials = Trials(pipeline, tables, ready, home, metric_of(pipeline, ready))
    _require_settings(trials)
    with studies.opened(
        home,
        checkpoints.name if checkpoints else uuid4().hex,
        resume=checkpoints is not None and checkpoints.is_dir(),
        maximise=higher_is_better(trials.metric),
        seed=pipeline.spec.training.seed,
        patience=trials.model.epochs // WARMUP_DIVISOR if isinstance(trials.model, Network) else 0,
    ) as study:
        if checkpoints:
            with storage_errors(checkpoints):
                checkpoints.mkdir(parents=True, exist_ok=True)
        current = Search(trials, study, run, progress, checkpoints)
        current.adopt()
        while not current.is_over():
            current.try_next()
        return current.best()


def metric_of(pipeline: Pipeline, ready: TrainingData) -> str:
    """Return the metric that decides: the declared one, or the primary metric of `evaluate`.

    Raises:
        DeclarationError: the metric does not fit the task.
    """
    spec, task = pipeline.spec, ready.target.task
    tune = spec.training.tune
    metric = (tune and tune.metric) or spec.evaluate.metric or PRIMARY_METRIC[task]
    if metric not in metric_names(task):
        raise DeclarationError(
            f"metric {metric!r} does not fit a {task} target",
            where=f"{pipeline.name}/train",
            remedy=f"let train.tune.metric be one of {', '.join(metric_names(task))}",
        )
    return metric


def _require_settings(trials: Trials) -> None:
    """Raise DeclarationError if a search over a user's estimator names more than its arguments."""
    model, folder = trials.model, trials.pipeline.folder
    if not isinstance(model, OwnModule) or issubclass(model_class(model, folder), NetworkModel):
        return
    for name in trials.space:
        if not name.startswith(ARGS):
            raise DeclarationError(
                f"{name} is a setting for training networks, and {model.python} is not a network",
                where=f"{trials.pipeline.name}/train",
                remedy="let train.tune.search name arguments of the estimator, as args.NAME",
            )


class Search:
    """One search in progress."""

    def __init__(
        self,
        trials: Trials,
        study: studies.Study,
        run: RegistryRun,
        progress: Progress,
        checkpoints: Path | None,
    ) -> None:
        self._trials, self._study, self._run, self._progress = trials, study, run, progress
        self._checkpoints = checkpoints
        self._fitted: dict[int, FitResult] = {}
        """The best model fitted in this process, by the index of its trial."""

    def adopt(self) -> None:
        """Move the trials of a search that was killed to this run."""
        for tried in self._study.tried:
            self._run.adopt(tried.notes["run_id"], _STATUS[tried.state])

    def is_over(self) -> bool:
        """Whether at least one trial ran and the allowed trials, minutes or Wh are used up."""
        tune, count = self._trials.tune, len(self._study.tried)
        limits = (
            (tune.most, count),
            (tune.minutes, self._used("seconds") / 60),
            (tune.wh, self._used("wh")),
        )
        return count > 0 and any(limit is not None and used >= limit for limit, used in limits)

    def try_next(self) -> None:
        """Run one trial and store it in MLflow and in the study."""
        index, trials = len(self._study.tried), self._trials
        initial = None if index else declared_settings(trials.model, trials.space)
        trial = self._study.begin(trials.space, initial)
        checkpoints = self._checkpoints and self._checkpoints / f"trial-{index}"
        with open_child(self._run, f"trial {index + 1}") as child:
            child.log_parameters(trial.settings)
            with Meter(Rates.from_env()) as meter:
                outcome = trials.outcome(
                    trial,
                    lambda text: self._progress(f"trial {index + 1}, {text}"),
                    declared=not index,
                    deadline=self._deadline() if index else None,
                    checkpoints=checkpoints,
                )
                cost = meter.read()
            _log(child, outcome, trials.metric, cost.wh)
            notes = {"run_id": child.run_id, "seconds": cost.seconds, "wh": cost.wh}
            trial.end(outcome.state, outcome.value, notes)
        child.end(_STATUS[outcome.state])
        if checkpoints:
            rmtree(checkpoints, ignore_errors=True)
        if outcome.fitted and self._best_index() == index:
            self._fitted = {index: outcome.fitted}
        self._report(index, outcome)

    def best(self) -> tuple[FitResult, Tuned]:
        """Return the best model; fit it again if the process that had fitted it was killed."""
        index, tried = self._best_index(), self._study.tried
        fitted = self._fitted.get(index) or self._trials.fit(
            tried[index].settings if index else None, self._progress
        )
        tuned = Tuned(
            metric=self._trials.metric,
            higher_is_better=self._study.maximise,
            trials=tuple(Trial(state=t.state, value=t.value) for t in tried),
            chosen=index,
            settings={n: str(v) for n, v in self._settings(index).items()},
        )
        return fitted, tuned

    def _settings(self, index: int) -> studies.Settings:
        if index:
            return self._study.tried[index].settings
        return declared_settings(self._trials.model, self._trials.space)

    def _best_index(self) -> int:
        """Return the index of the best trial; of equal ones, the earliest."""
        sign = -1 if self._study.maximise else 1
        values = [
            (sign * t.value, i) for i, t in enumerate(self._study.tried) if t.value is not None
        ]
        return min(values)[1]

    def _used(self, note: str) -> float:
        return sum(float(tried.notes[note]) for tried in self._study.tried)

    def _deadline(self) -> float | None:
        minutes = self._trials.tune.minutes
        return None if minutes is None else time.monotonic() + minutes * 60 - self._used("seconds")

    def _report(self, index: int, outcome: TrialOutcome) -> None:
        best, most = self._best_index(), self._trials.tune.most
        count = f"{index + 1}/{most}" if most else f"{index + 1}"
        result = outcome.why if outcome.value is None else f"{outcome.value:.4g}"
        value = self._study.tried[best].value
        self._progress(
            f"trial {count}: {self._trials.metric} {result} (best {value:.4g}, trial {best + 1})"
        )


def _log(child: RegistryRun, outcome: TrialOutcome, metric: str, wh: float) -> None:
    metrics = {"epochs": float(outcome.epochs), "wh": wh}
    if outcome.fitted:
        metrics |= {f"validation_{n}": v for n, v in outcome.fitted.validation.items()}
    if outcome.value is not None:
        metrics[f"validation_{metric}"] = outcome.value
    child.log_metrics([(0, metrics)])
    child.tag({"state": outcome.state, **({"why": outcome.why} if outcome.why else {})})
