"""Train the candidate again many times: here, or by an executor that does independent fits.

On which rows one training runs belongs in `retraining`; what is learned from all, in `measurement`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from factory_assets.ml.artifacts.trained_model import copy_checked, read_trained
from factory_assets.ml.attribution.lds import halves
from factory_assets.ml.attribution.retraining import Retrainer, make_retrainer
from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.models.base import Model
from factory_assets.ml.models.kinds import model_class
from factory_assets.ml.training.fit_tasks import FitExecutor, FitTask, load_arrays, save_arrays
from factory_assets.results.model import Portfolio, Refit
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.progress import Progress
from factory_resources.tables.snapshot import Snapshot, read_arrow

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class _Values(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RetrainingData(_Values):
    """The candidate and its rows."""

    train: Snapshot
    validation: Snapshot
    test: Snapshot
    files: Path
    """Those of the candidate's model."""
    digest: str
    """The SHA-256 of their manifest."""
    name: str
    """That of the candidate."""
    refit: Refit | None = None
    portfolio: Portfolio | None = None
    """Both as in `Candidate`."""


class Halves(_Values):
    """Random halves of the rows that the candidate learned from."""

    count: int
    seed: int
    of_training: bool = False
    """Whether they have no validation rows, so that these can be judged."""


class JudgedRows(_Values):
    """Rows for which the outputs of a model are wanted."""

    part: Literal["validation", "test"]
    positions: tuple[int, ...]
    """Of the test rows; or of those validation rows whose class the candidate knows."""


class RetrainingTask(FitTask):
    """Train the candidate again: on a half of its rows, or on all of them from another seed."""

    kind: Literal["retraining"] = "retraining"
    data: RetrainingData
    seed: int
    step: str = ""
    """The progress message when it begins."""
    half: tuple[Halves, int] | None = None
    """The number of one of the halves; None for all rows, and then the model itself is stored."""
    judged: JudgedRows | None = None
    """What the model of a half predicts."""

    @property
    def shared(self) -> RetrainingData:
        return self.data

    def prepare(self, pipeline: Pipeline, home: Home) -> Retraining:
        with home.scratch() as folder:
            copy_checked(self.data.files, folder, self.data.digest, self.data.name)
            trained = read_trained(folder, pipeline.folder)
        training, validation = (
            read_arrow(part, home) for part in (self.data.train, self.data.validation)
        )
        learner = make_retrainer(
            pipeline, trained, training, validation, home, self.data.refit, self.data.portfolio
        )
        return Retraining(learner, self.data)

    def run(self, prepared: Retraining, files: Path, progress: Progress) -> None:
        if self.judged is None:
            prepared.fit(self, progress).save(files)
        else:
            save_arrays({"outputs": prepared.predict(self, progress)}, files)


@dataclass(frozen=True)
class Retraining:
    """The candidate and its rows, read and encoded."""

    learner: Retrainer
    data: RetrainingData
    _members: dict[Halves, NDArray[np.bool_]] = field(default_factory=dict)
    _inputs: dict[JudgedRows, Arrays] = field(default_factory=dict)

    @cached_property
    def _test(self) -> pa.Table:
        return read_arrow(self.data.test, self.learner.home)

    def fit(self, task: RetrainingTask, progress: Progress) -> Model:
        """Train the model of a task."""
        import numpy as np

        if task.step:
            progress(task.step)
        if task.half is None:
            return self.learner.fit(None, task.seed, "networks")
        of, number = task.half
        return self.learner.fit(np.flatnonzero(self.members(of)[number]), task.seed)

    def predict(self, task: RetrainingTask, progress: Progress) -> NDArray[np.float64]:
        """Train the model of a task and return its outputs for the judged rows."""
        assert task.judged is not None
        return self.fit(task, progress).outputs(self.inputs(task.judged))

    def members(self, of: Halves) -> NDArray[np.bool_]:
        """[halves, rows learned from]: whether a half contains the row."""
        import numpy as np

        if of not in self._members:
            learner, target = self.learner, self.learner.training.target
            spared = len(learner.validation) if of.of_training and learner.refit else 0
            drawn = halves(target[: len(target) - spared], of.count, of.seed)
            self._members[of] = np.pad(drawn, ((0, 0), (0, spared)))
        return self._members[of]

    def inputs(self, judged: JudgedRows) -> Arrays:
        """Encode the judged rows."""
        import numpy as np

        if judged not in self._inputs:
            rows, trained = np.array(judged.positions, dtype=np.int64), self.learner.trained
            self._inputs[judged] = (
                self.learner.validation.inputs.take(rows)
                if judged.part == "validation"
                else trained.features.arrays(self._test, scaled=trained.model.scaled, rows=rows)
            )
        return self._inputs[judged]


def train_whole(
    retraining: Retraining, seeds: Sequence[int], progress: Progress, executor: FitExecutor | None
) -> list[Model]:
    """Train on all rows, from each of the seeds."""
    tasks = [RetrainingTask(data=retraining.data, seed=seed) for seed in seeds]
    if executor is None:
        return [retraining.fit(task, progress) for task in tasks]
    learner = retraining.learner
    spec, shape = learner.single, learner.trained.description.shape
    folder = learner.pipeline.folder
    cls = model_class(spec, folder)
    done = executor.map(tasks, progress)
    return [cls.load(spec, shape, one.files, folder) for one in done]


def predict_by_halves(
    retraining: Retraining,
    tasks: Sequence[RetrainingTask],
    progress: Progress,
    executor: FitExecutor | None,
) -> Iterator[NDArray[Any]]:
    """Train on halves, and yield the outputs of each model for the judged rows of its task."""
    if executor is None:
        return (retraining.predict(task, progress) for task in tasks)
    return (load_arrays(done.files)["outputs"] for done in executor.map(tasks, progress))
