"""Members of an ensemble of networks as independent fits.

Each is trained from its own seed, and they become one network when all have been. How a member is
trained belongs in `ml.models.networks`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from factory_assets.ml.models.base import Fit, FitContext
from factory_assets.ml.models.kinds import model_class
from factory_assets.ml.training.fit_tasks import FitExecutor, FitRows
from factory_assets.ml.training.fitting import fit_context
from factory_assets.ml.training.training_task import PreparedTraining, RowsTask
from factory_assets.results.base import StageResult
from factory_assets.results.training import Epoch
from factory_assets.spec.models import Network
from factory_resources.progress import Progress

if TYPE_CHECKING:
    from factory_assets.ml.models.networks.model import NetworkModel


_TRAINING = "training.json"


class MemberTask(RowsTask):
    """One network of the declared ensemble."""

    kind: Literal["member"] = "member"
    number: int
    """Its index among the members."""
    rounds: int | None = None
    """As in `FitContext`; given, it learns from training and validation rows."""
    followed: bool = False
    """As in `FitContext`."""

    def run(self, prepared: PreparedTraining, files: Path, progress: Progress) -> None:
        pipeline, ready = prepared.pipeline, prepared.ready
        model = pipeline.spec.training.model
        cls = cast("type[NetworkModel]", model_class(model, pipeline.folder))
        with prepared.home.scratch() as scratch:
            plain = fit_context(pipeline, ready, model, scratch, progress, self.checkpoints)
            rows = ready.rows if self.rounds is None else ready.all_rows
            context = replace(
                plain.weighted_for(rows.target), rounds=self.rounds, followed=self.followed
            )
            fit = cls.fit_member(context, self.number, rows, ready.validation)
        fit.model.save(files)
        training = _Training(history=fit.history, halved=fit.halved, rounds=fit.rounds)
        (files / _TRAINING).write_text(training.model_dump_json(), encoding="utf-8")


class _Training(StageResult):
    """How the training of a member went."""

    history: tuple[Epoch, ...]
    halved: bool
    rounds: int | None


@dataclass(frozen=True)
class MemberExecutor:
    """Lets an executor train the members of the declared ensemble."""

    executor: FitExecutor
    rows: FitRows

    def __call__(self, context: FitContext) -> list[Fit]:
        """Return the members of the ensemble, in their order."""
        spec = cast(Network, context.spec)
        tasks = [
            MemberTask(
                rows=self.rows,
                number=number,
                rounds=context.rounds,
                checkpoints=context.checkpoints,
                followed=context.followed,
            )
            for number in range(spec.ensemble)
        ]
        done = self.executor.map(tasks, context.progress)
        return [_read_member(one.files, context) for one in done]


def _read_member(files: Path, context: FitContext) -> Fit:
    """Read what a `MemberTask` wrote."""
    training = _Training.model_validate_json((files / _TRAINING).read_bytes())
    single = context.spec.model_copy(update={"ensemble": 1})
    cls = model_class(single, context.folder)
    model = cls.load(single, context.shape, files, context.folder)
    return Fit(model, training.history, halved=training.halved, rounds=training.rounds)
