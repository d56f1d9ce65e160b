"""Cross-validation beside the test set: each row is judged once, by a model trained without it.

The rows of all three parts are divided into folds with about the same share of every class; a group
of rows stays in one fold. Each fold fits preprocessing and model again, and no choice depends on
the results. Scoring rows belongs in `test_set`, deciding in `gates`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.ml.evaluation.test_set import TestSet, judged_rows, without_groups
from factory_assets.ml.features.series import value_codes
from factory_assets.ml.features.target import Target, with_target
from factory_assets.ml.metrics.metrics import DECISION_METRICS, ScoredRows, metric_names
from factory_assets.ml.training.fit_tasks import (
    FitExecutor,
    FitTask,
    load_arrays,
    save_arrays,
)
from factory_assets.ml.training.fitting import fit, no_progress
from factory_assets.ml.training.inner_folds import stratified_ranks
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import FoldMetric, Folds
from factory_assets.spec import ModelSpec, Pipeline
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from factory_resources.progress import Progress
from factory_resources.tables.snapshot import Snapshot, read_arrow

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class FoldRows(BaseModel):
    """The rows that are divided into folds, and what every fold has of the candidate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    parts: tuple[Snapshot, Snapshot, Snapshot]
    """Training, validation and test rows."""
    target: Target
    model: ModelSpec


class FoldTask(FitTask):
    """Train on all folds but one, and predict the rows of that one."""

    kind: Literal["fold"] = "fold"
    rows: FoldRows
    fold: int

    @property
    def shared(self) -> FoldRows:
        return self.rows

    def prepare(self, pipeline: Pipeline, home: Home) -> DividedRows:
        return divide_rows(pipeline, self.rows, home)

    def tell(self, divided: DividedRows, progress: Progress) -> None:
        progress(f"fold {self.fold + 1} of {divided.count}")

    def run(self, prepared: DividedRows, files: Path, progress: Progress) -> None:
        import numpy as np

        self.tell(prepared, progress)
        predicted = prepared.predict(self.fold)
        threshold = [] if predicted.threshold is None else [predicted.threshold]
        save_arrays({"outputs": predicted.outputs, "threshold": np.array(threshold)}, files)


@dataclass(frozen=True)
class PredictedFold:
    """What the model of a fold says of the fold's judged rows."""

    outputs: NDArray[Any]
    """[rows, classes] or [rows]."""
    threshold: float | None

    @classmethod
    def read(cls, files: Path) -> Self:
        """Read what a `FoldTask` wrote."""
        arrays = load_arrays(files)
        [threshold] = arrays["threshold"].tolist() or [None]
        return cls(arrays["outputs"], threshold)


@dataclass(frozen=True)
class DividedRows:
    """All rows, and the fold of each."""

    pipeline: Pipeline
    """With task and positive class fixed for all folds."""
    rows: FoldRows
    table: pa.Table
    """The rows of the three parts."""
    fold_of: NDArray[np.int64]
    """[rows]: the fold of each row."""
    count: int
    """The number of folds."""
    home: Home

    def judged(self, fold: int) -> tuple[pa.Table, NDArray[np.int64]]:
        """Return the rows of a fold, and the positions of those that are judged."""
        table = self._take(self.fold_of == fold)
        return table, judged_rows(table, self.pipeline.spec.evaluate.last)

    def predict(self, fold: int) -> PredictedFold:
        """Train like `train` without a fold, with a share of the rows for stopping and threshold.

        Raises:
            DataError: a class is too rare to be trained on in every fold.
        """
        rest, target = self._take(self.fold_of != fold), self.rows.target
        share = self.pipeline.spec.split.validation
        validation = sample_units(_ranks(self.pipeline, target, rest), share)
        training, held_out = rest.filter(~validation), rest.filter(validation)
        fitted = fit(self.pipeline, training, held_out, self.home, model=self.rows.model).trained
        if lost := sorted(set(target.classes) - set(fitted.target.classes)):
            raise _too_rare(fitted.target, lost[0], self.pipeline)
        return PredictedFold(fitted.outputs(*self.judged(fold)), fitted.description.threshold)

    def _take(self, rows: NDArray[np.bool_]) -> pa.Table:
        import numpy as np

        return self.table.take(np.flatnonzero(rows))


def cross_validate(
    test_set: TestSet,
    parts: SplitResult,
    trained: TrainedModel,
    home: Home,
    progress: Progress | None = None,
    executor: FitExecutor | None = None,
) -> Folds | None:
    """Judge every row of the three parts; None if no folds are declared.

    Args:
        test_set: of the candidate; each fold replaces its rows and truth.
        trained: the candidate; each fold trains a model of its kind, settings and classes.
        executor: trains the folds; None if they are trained here, one after another.

    Raises:
        DataError: there are fewer rows or groups than folds, or a class is too rare to be trained
            on in every fold.
    """
    count = test_set.pipeline.spec.evaluate.folds
    if not count:
        return None
    rows = FoldRows(
        parts=(parts.train, parts.validation, parts.test),
        target=trained.target,
        model=trained.description.spec,
    )
    divided = divide_rows(test_set.pipeline, rows, home)
    scored = []
    for fold, predicted in enumerate(_predicted(divided, count, progress, executor)):
        table, places = divided.judged(fold)
        truth = trained.target.values(table)[places]
        fold_set = replace(
            test_set, pipeline=divided.pipeline, test=table, places=places, truth=truth
        )
        scored.append(fold_set.score(predicted.outputs, predicted.threshold))
    return Folds(count=count, rows=sum(map(len, scored)), metrics=_metrics(scored))


def _predicted(
    divided: DividedRows, count: int, progress: Progress | None, executor: FitExecutor | None
) -> Iterator[PredictedFold]:
    """Yield what the model of each fold says, in the order of the folds."""
    tell = progress or no_progress
    tasks = [FoldTask(rows=divided.rows, fold=fold) for fold in range(count)]
    if executor:
        yield from (PredictedFold.read(done.files) for done in executor.map(tasks, tell))
        return
    for task in tasks:
        task.tell(divided, tell)
        yield divided.predict(task.fold)


def divide_rows(pipeline: Pipeline, rows: FoldRows, home: Home) -> DividedRows:
    """Divide the rows of all parts into folds.

    Raises:
        DataError: there are fewer rows or groups than folds, or a row has a class that the
            candidate does not know.
    """
    import pyarrow as pa

    pinned, target = _pinned(pipeline, rows.target), rows.target
    whole = pa.concat_tables([read_arrow(part, home) for part in rows.parts])
    if target.classes and (unseen := target.values(whole) < 0).any():
        raise _too_rare(target, str(whole[target.column].filter(unseen)[0]), pinned)
    ranks, count = _ranks(pinned, target, whole), pinned.spec.evaluate.folds or 1
    if ranks.max() + 1 < count:
        raise DataError(
            f"{count} folds need at least {count} rows or groups; there are {ranks.max() + 1}",
            where=f"{pipeline.name}/evaluate",
            remedy="declare fewer folds in evaluate.folds, or give more data",
        )
    return DividedRows(pinned, rows, whole, ranks % count, count, home)


def fold_figures(folds: Folds | None) -> dict[str, float]:
    """Return the figures to log: `cv_<metric>_mean`, `_sd` and `_pooled`."""
    figures = {
        f"cv_{name}_{figure}": getattr(metric, figure)
        for name, metric in (folds.metrics if folds else {}).items()
        for figure in ("mean", "sd", "pooled")
    }
    return {name: value for name, value in figures.items() if value is not None}


def _too_rare(target: Target, name: str, pipeline: Pipeline) -> DataError:
    return DataError(
        f"class {name!r} of target {target.column!r} has too few rows to train on in every fold",
        where=f"{pipeline.name}/evaluate",
        remedy="give more rows of the class, send it to quarantine, or leave evaluate.folds out",
    )


def _pinned(pipeline: Pipeline, target: Target) -> Pipeline:
    """Fix task and positive class for all folds; leave out groups, which only the test compares."""
    return without_groups(with_target(pipeline, target))


def _ranks(pipeline: Pipeline, target: Target, table: pa.Table) -> NDArray[np.int64]:
    import numpy as np

    rule = pipeline.spec.split
    strata = target.values(table) if target.classes else np.zeros(table.num_rows, np.int64)
    if rule.stratify:
        codes = value_codes(table[rule.stratify])
        strata = strata * (codes.max() + 1) + codes
    units = value_codes(table[rule.group]) if rule.group else np.arange(table.num_rows)
    return stratified_ranks(strata, units, rule.seed)


def _metrics(scored: Sequence[ScoredRows]) -> dict[str, FoldMetric]:
    by_fold = [fold.metrics() for fold in scored]
    pooled = _pooled(scored)
    return {
        name: FoldMetric(
            values=tuple(metrics.get(name) for metrics in by_fold), pooled=pooled.get(name)
        )
        for name in metric_names(scored[0].task)
        if any(name in metrics for metrics in by_fold)
    }


def _pooled(scored: Sequence[ScoredRows]) -> dict[str, float]:
    """Score all folds as one; decisions stay those of each fold's own threshold."""
    import numpy as np

    first = scored[0]
    truth = np.concatenate([fold.truth for fold in scored])
    outputs = np.concatenate([fold.outputs for fold in scored])
    names = set(metric_names(first.task))
    pooled = replace(first, truth=truth, outputs=outputs).metrics(names - DECISION_METRICS)
    if first.task == "regression":
        return pooled
    decided = np.eye(outputs.shape[1])[np.concatenate([fold.predicted for fold in scored])]
    decisions = replace(first, truth=truth, outputs=decided, threshold=0.5)
    return {**pooled, **decisions.metrics(names & DECISION_METRICS)}


def sample_units(ranks: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """Sample a share of the units, at least one, evenly over their ranks.

    Returns:
        [rows]: whether the row's unit is in the sample.
    """
    import numpy as np

    return np.asarray(np.floor(ranks * share) > np.floor((ranks - 1) * share))
