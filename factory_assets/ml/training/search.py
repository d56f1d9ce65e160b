"""Search for settings that score better on held-out rows than the declared ones.

The declared settings are the first trial, so that the result is never worse there than without a
search. Trials are proposed in batches, and none depends on another of its batch, so that they may
run at the same time. Each is an MLflow run below the candidate's run, and is stored in a study when
it ends: a search that was killed resumes after its last stored trial. How one trial is fitted and
scored belongs in `trials`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from shutil import rmtree
from uuid import uuid4

from factory_assets.ml.metrics.metrics import higher_is_better
from factory_assets.ml.models.kinds import require_searchable
from factory_assets.ml.training.fit_result import FitResult
from factory_assets.ml.training.fit_tasks import FitExecutor
from factory_assets.ml.training.trials import (
    TrialOutcome,
    Trials,
    TrialTask,
    declared_settings,
    read_outcome,
)
from factory_assets.results.model import Trial, Tuned
from factory_assets.spec.models import Network, OwnModule
from factory_resources.errors import DeclarationError
from factory_resources.home.home import storage_errors
from factory_resources.metering.meter import Cost, Meter, Rates
from factory_resources.progress import Progress
from factory_resources.tracking import studies
from factory_resources.tracking.run import RegistryRun, Status, open_child

_STATUS: Mapping[studies.State, Status] = {
    "complete": "FINISHED",
    "pruned": "KILLED",
    "failed": "FAILED",
}

WARMUP_DIVISOR = 4
"""No network is pruned in the first 1 / WARMUP_DIVISOR of its epochs: the learning rate still
rises."""

WARMUP_FOLDS = 2
"""After how many inner folds a trial may be pruned; the rows of one say little."""


def search(
    trials: Trials,
    run: RegistryRun,
    progress: Progress,
    checkpoints: Path | None,
    executor: FitExecutor | None = None,
) -> tuple[FitResult, Tuned]:
    """Return the best model, and how it was found.

    Args:
        trials: the rows, prepared for the declared model.
        run: the candidate's.
        checkpoints: a folder for this computation alone; if it exists, the search that left it is
            resumed. None for a search that is never resumed.
        executor: does the trials of a batch; None if they run here, one after another.

    Raises:
        DataError: the metric is undefined on the held-out rows.
        DeclarationError: the metric or the loss does not fit the task, or a setting does not fit
            the user's model.
        ModelError: the declared settings cannot be trained.
        StorageError: the trials cannot be stored.
    """
    if isinstance(trials.model, OwnModule):
        for name in trials.space:
            require_searchable(trials.model, name, trials.pipeline.folder)
    if "loss" in trials.space and trials.ready.target.task != "regression":
        # Before any trial: the one that lowers the absolute error would end the search.
        raise DeclarationError(
            "a loss is searched for numbers, and the target has classes",
            where="train.tune.search.loss",
            remedy="leave loss out",
        )
    with studies.open_study(
        trials.home,
        checkpoints.name if checkpoints else uuid4().hex,
        resume=checkpoints is not None and checkpoints.is_dir(),
        maximise=higher_is_better(trials.metric),
        seed=trials.pipeline.spec.training.seed,
        patience=_patience(trials),
        batch=trials.tune.parallel,
    ) as study:
        if checkpoints:
            with storage_errors(checkpoints):
                checkpoints.mkdir(parents=True, exist_ok=True)
        current = Search(trials, study, run, progress, checkpoints, executor)
        current.adopt()
        while study.is_within_batch or not current.is_over():
            current.try_next()
        return current.best()


def _patience(trials: Trials) -> int:
    """Return the first step after which a trial may be pruned."""
    if trials.has_folds:
        return WARMUP_FOLDS
    return trials.model.epochs // WARMUP_DIVISOR if isinstance(trials.model, Network) else 0


class Search:
    """One search in progress."""

    def __init__(
        self,
        trials: Trials,
        study: studies.Study,
        run: RegistryRun,
        progress: Progress,
        checkpoints: Path | None,
        executor: FitExecutor | None,
    ) -> None:
        self._trials, self._study, self._run, self._progress = trials, study, run, progress
        self._checkpoints, self._executor = checkpoints, executor
        self._fitted: dict[int, FitResult] = {}
        """The best model of the trials of this process, by the index of its trial."""

    def adopt(self) -> None:
        """Move the trials of a search that was killed to this run."""
        for tried in self._study.finished:
            self._run.adopt(tried.notes["run_id"], _STATUS[tried.state])

    def is_over(self) -> bool:
        """Whether at least one trial ran and the allowed trials, minutes or Wh are used up."""
        tune, count = self._trials.tune, len(self._study.finished)
        limits = (
            (tune.most, count),
            (tune.minutes, self._used("seconds") / 60),
            (tune.wh, self._used("wh")),
        )
        return count > 0 and any(limit is not None and used >= limit for limit, used in limits)

    def try_next(self) -> None:
        """Run the next batch of trials and store each in MLflow and in the study."""
        trials, medians = self._trials, self._study.median_losses()
        is_first = len(self._study.finished) < trials.tune.parallel
        initial = declared_settings(trials.model, trials.space) if is_first else None
        batch = self._study.begin(trials.space, initial, trials.tune.most)
        tasks = [self._task(trial, medians) for trial in batch]
        with ExitStack() as open_study:
            blocks = [open_study.enter_context(ExitStack()) for _ in batch]
            children = [
                block.enter_context(open_child(self._run, f"trial {trial.number + 1}"))
                for block, trial in zip(blocks, batch, strict=True)
            ]
            for child, trial in zip(children, batch, strict=True):
                child.log_parameters(trial.settings)
            ended = zip(batch, children, blocks, self._outcomes(tasks), strict=True)
            for trial, child, block, (outcome, cost) in ended:
                self._store(trial, child, outcome, cost)
                block.close()

    def _task(self, trial: studies.OpenTrial, medians: Mapping[int, float]) -> TrialTask:
        tried = self._study.finished
        return TrialTask(
            rows=self._trials.rows,
            number=trial.number,
            settings=dict(trial.settings) if trial.number else None,
            medians=medians,
            seconds=self._seconds_left() if trial.number else None,
            beats=tried[self._best_index()].value if tried else None,
            checkpoints=self._checkpoints and self._checkpoints / f"trial-{trial.number}",
        )

    def _outcomes(self, tasks: Sequence[TrialTask]) -> Iterator[tuple[TrialOutcome, Cost]]:
        """Yield how each trial of a batch ended, and its cost, in their order."""
        if self._executor and len(tasks) > 1:
            for done in self._executor.map(tasks, self._progress):
                yield read_outcome(done.files, self._trials.pipeline.folder), done.cost
            return
        for task in tasks:
            with Meter(Rates.from_env()) as meter:
                outcome = self._trials.outcome(task, task.named(self._progress))
                cost = meter.read()
            yield outcome, cost

    def _store(
        self, trial: studies.OpenTrial, child: RegistryRun, outcome: TrialOutcome, cost: Cost
    ) -> None:
        _log(child, outcome, self._trials.metric, cost.wh)
        notes = {"run_id": child.run_id, "seconds": cost.seconds, "wh": cost.wh}
        trial.end(outcome.state, outcome.value, notes, [*outcome.losses.items()])
        child.end(_STATUS[outcome.state])
        if self._checkpoints:
            rmtree(self._checkpoints / f"trial-{trial.number}", ignore_errors=True)
        if outcome.fitted and self._best_index() == trial.number:
            self._fitted = {trial.number: outcome.fitted}
        self._report(trial.number, outcome)

    def best(self) -> tuple[FitResult, Tuned]:
        """Return the best model, which learns from all rows now, as `train.refit` says.

        If the process that had fitted it was killed, it is fitted again before.
        """
        index, tried = self._best_index(), self._study.finished
        fitted = self._fitted.get(index) or self._trials.fit(
            tried[index].settings if index else None, self._progress
        )
        folder = self._checkpoints / "kept" if self._checkpoints else None
        kept = self._trials.keep(fitted, self._progress, folder)
        tuned = Tuned(
            metric=self._trials.metric,
            higher_is_better=self._study.maximise,
            trials=tuple(Trial(state=t.state, value=t.value) for t in tried),
            chosen=index,
            settings={n: str(v) for n, v in self._settings(index).items()},
        )
        return kept, tuned

    def _settings(self, index: int) -> studies.Settings:
        if index:
            return self._study.finished[index].settings
        return declared_settings(self._trials.model, self._trials.space)

    def _best_index(self) -> int:
        """Return the index of the best trial; of equal ones, the earliest."""
        sign = -1 if self._study.maximise else 1
        values = [
            (sign * t.value, i) for i, t in enumerate(self._study.finished) if t.value is not None
        ]
        return min(values)[1]

    def _used(self, note: str) -> float:
        return sum(float(tried.notes[note]) for tried in self._study.finished)

    def _seconds_left(self) -> float | None:
        minutes = self._trials.tune.minutes
        return None if minutes is None else minutes * 60 - self._used("seconds")

    def _report(self, index: int, outcome: TrialOutcome) -> None:
        best, most = self._best_index(), self._trials.tune.most
        count = f"{index + 1}/{most}" if most else f"{index + 1}"
        metric, value = self._trials.metric, self._study.finished[best].value
        result = outcome.why if outcome.value is None else f"{metric} {outcome.value:.4g}"
        self._progress(f"trial {count}: {result} (best {value:.4g}, trial {best + 1})")


def _log(child: RegistryRun, outcome: TrialOutcome, metric: str, wh: float) -> None:
    metrics = {"epochs": float(outcome.epochs), "wh": wh}
    if outcome.validation:
        metrics |= {f"validation_{n}": v for n, v in outcome.validation.items()}
    if outcome.value is not None:
        metrics[f"validation_{metric}"] = outcome.value
    child.log_metrics([(0, metrics)])
    child.tag({"state": outcome.state, **({"why": outcome.why} if outcome.why else {})})
