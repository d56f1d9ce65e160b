"""Search for better settings than the declared ones, by what the validation rows say of them.

The declared settings are the first trial, so that a search is never worse there than none. Every
trial is an MLflow run below the candidate's own, and is written down in a study when it is over: a
search that was killed goes on with the trials that are there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING
from uuid import uuid4

from factory_assets.ml.metrics.metrics import HEADLINE, higher_is_better, metric_names
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

WARM = 4
"""The first so-manieth part of the epochs gives nothing up: the learning rate has yet to rise."""


def search(
    pipeline: Pipeline,
    tables: tuple[pa.Table, pa.Table],
    ready: TrainingData,
    home: Home,
    run: RegistryRun,
    progress: Progress,
    checkpoints: Path | None,
) -> tuple[FitResult, Tuned]:
    """The best model that is found, and how.

    Args:
        tables: the training and the validation rows.
        ready: what they are for the declared model.
        run: the candidate's.
        checkpoints: a folder of this computation alone; where it is there, a search that was killed
            goes on. None for one that nothing goes on with.

    Raises:
        DataError: the validation rows do not define the metric.
        DeclarationError: the metric is none of the task's, or a setting none of the user's model.
        ModelError: the declared settings cannot be trained.
        StorageError: the trials cannot be kept.
    """
    trials = Trials(pipeline, tables, ready, home, metric_of(pipeline, ready))
    _require_settings(trials)
    with studies.opened(
        home,
        checkpoints.name if checkpoints else uuid4().hex,
        resume=checkpoints is not None and checkpoints.is_dir(),
        maximise=higher_is_better(trials.metric),
        seed=pipeline.spec.training.seed,
        patience=trials.model.epochs // WARM if isinstance(trials.model, Network) else 0,
    ) as study:
        if checkpoints:
            with storage_errors(checkpoints):
                checkpoints.mkdir(parents=True, exist_ok=True)
        made = Search(trials, study, run, progress, checkpoints)
        made.adopt()
        while not made.is_over():
            made.try_next()
        return made.best()


def metric_of(pipeline: Pipeline, ready: TrainingData) -> str:
    """What decides: as declared, or the headline of `evaluate`.

    Raises:
        DeclarationError: it is no metric of the task.
    """
    spec, task = pipeline.spec, ready.target.task
    tune = spec.training.tune
    metric = (tune and tune.metric) or spec.evaluate.metric or HEADLINE[task]
    if metric not in metric_names(task):
        raise DeclarationError(
            f"metric {metric!r} does not fit a {task} target",
            where=f"{pipeline.name}/train",
            remedy=f"let train.tune.metric be one of {', '.join(metric_names(task))}",
        )
    return metric


def _require_settings(trials: Trials) -> None:
    """An estimator of the user's own has no settings but its arguments."""
    model, folder = trials.model, trials.pipeline.folder
    if not isinstance(model, OwnModule) or issubclass(model_class(model, folder), NetworkModel):
        return
    for name in trials.space:
        if not name.startswith(ARGS):
            raise DeclarationError(
                f"{name} says how networks are trained, and {model.python} is none",
                where=f"{trials.pipeline.name}/train",
                remedy="name in train.tune.search arguments of the estimator, as args.NAME",
            )


class Search:
    """One search under way."""

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
        """The best model of this process, by the place of its trial."""

    def adopt(self) -> None:
        """The trials of a search that was killed belong to this run now."""
        for tried in self._study.tried:
            self._run.adopt(tried.notes["run_id"], _STATUS[tried.state])

    def is_over(self) -> bool:
        tune, count = self._trials.tune, len(self._study.tried)
        ends = (
            (tune.most, count),
            (tune.minutes, self._used("seconds") / 60),
            (tune.wh, self._used("wh")),
        )
        return count > 0 and any(most is not None and used >= most for most, used in ends)

    def try_next(self) -> None:
        """One trial, in MLflow and in the study."""
        place, trials = len(self._study.tried), self._trials
        given = None if place else declared_settings(trials.model, trials.space)
        trial = self._study.begin(trials.space, given)
        checkpoints = self._checkpoints and self._checkpoints / f"trial-{place}"
        with open_child(self._run, f"trial {place + 1}") as child:
            child.log_parameters(trial.settings)
            with Meter(Rates.from_env()) as meter:
                outcome = trials.outcome(
                    trial,
                    lambda text: self._progress(f"trial {place + 1}, {text}"),
                    declared=not place,
                    deadline=self._deadline() if place else None,
                    checkpoints=checkpoints,
                )
                cost = meter.read()
            _log(child, outcome, trials.metric, cost.wh)
            notes = {"run_id": child.run_id, "seconds": cost.seconds, "wh": cost.wh}
            trial.end(outcome.state, outcome.value, notes)
        child.end(_STATUS[outcome.state])
        if checkpoints:
            rmtree(checkpoints, ignore_errors=True)
        if outcome.fitted and self._best() == place:
            self._fitted = {place: outcome.fitted}
        self._tell(place, outcome)

    def best(self) -> tuple[FitResult, Tuned]:
        """The best model; fitted again where it was a process that died that had it."""
        place, tried = self._best(), self._study.tried
        fitted = self._fitted.get(place) or self._trials.fit(
            tried[place].settings if place else None, self._progress
        )
        tuned = Tuned(
            metric=self._trials.metric,
            higher_is_better=self._study.maximise,
            trials=tuple(Trial(state=t.state, value=t.value) for t in tried),
            chosen=place,
            settings={n: str(v) for n, v in self._settings(place).items()},
        )
        return fitted, tuned

    def _settings(self, place: int) -> studies.Settings:
        if place:
            return self._study.tried[place].settings
        return declared_settings(self._trials.model, self._trials.space)

    def _best(self) -> int:
        """The place of the best trial; of equals the earliest."""
        sign = -1 if self._study.maximise else 1
        values = [
            (sign * t.value, i) for i, t in enumerate(self._study.tried) if t.value is not None
        ]
        return min(values)[1]

    def _used(self, what: str) -> float:
        return sum(float(tried.notes[what]) for tried in self._study.tried)

    def _deadline(self) -> float | None:
        minutes = self._trials.tune.minutes
        return None if minutes is None else time.monotonic() + minutes * 60 - self._used("seconds")

    def _tell(self, place: int, outcome: TrialOutcome) -> None:
        best, most = self._best(), self._trials.tune.most
        count = f"{place + 1}/{most}" if most else f"{place + 1}"
        says = outcome.why if outcome.value is None else f"{outcome.value:.4g}"
        value = self._study.tried[best].value
        self._progress(
            f"trial {count}: {self._trials.metric} {says} (best {value:.4g}, trial {best + 1})"
        )


def _log(child: RegistryRun, outcome: TrialOutcome, metric: str, wh: float) -> None:
    metrics = {"epochs": float(outcome.epochs), "wh": wh}
    if outcome.fitted:
        metrics |= {f"validation_{n}": v for n, v in outcome.fitted.validation.items()}
    if outcome.value is not None:
        metrics[f"validation_{metric}"] = outcome.value
    child.log_metrics([(0, metrics)])
    child.tag({"state": outcome.state, **({"why": outcome.why} if outcome.why else {})})
