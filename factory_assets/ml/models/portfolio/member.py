"""One fit of a member of a portfolio: without a fold, whose rows it then predicts, or on all rows.

It writes files, so that any process can do it. Which fits there are belongs in `search`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from factory_assets.ml.features.arrays import LabelledArrays, concatenate
from factory_assets.ml.models.base import Fit, FitContext, MemberFit, Model, rare_classes
from factory_assets.ml.models.portfolio.encoding import encoded_for, member_outputs
from factory_assets.results.base import StageResult
from factory_assets.spec.models import Auto
from factory_resources.metering.meter import Meter, Rates

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


ALL_FOLDS_ROWS = 20_000
"""Above so many rows, members predict one fold only: it has thousands of rows, and each further
one would cost as much as the fit that is kept."""

_FIT, _OUTPUTS, _MODEL = "fit.json", "outputs.safetensors", "model"


class MemberRecord(StageResult):
    """How a fit went."""

    rounds: int | None
    """As in `Fit`."""
    halved: bool
    """As in `Fit`."""
    seconds: float
    wh: float


@dataclass(frozen=True)
class PortfolioRows:
    """The rows of a portfolio, and the fold in which each is held out."""

    classes: Sequence[type[Model]]
    """The class of each declared member."""
    context: FitContext
    train: LabelledArrays
    validation: LabelledArrays

    @cached_property
    def rows(self) -> LabelledArrays:
        """Training rows, then validation rows."""
        return concatenate((self.train, self.validation))

    @cached_property
    def fold_of(self) -> NDArray[np.int64]:
        """[rows]: the fold in which a row is held out; -1 if in none."""
        import numpy as np

        if self.context.folds is None or not self.context.whole:
            return np.repeat([-1, 0], [len(self.train), len(self.validation)])
        if len(self.rows) > ALL_FOLDS_ROWS:
            return np.where(self.context.folds == 0, 0, -1)
        return self.context.folds

    @property
    def folds(self) -> int:
        return int(self.fold_of.max()) + 1

    def fit(self, job: MemberFit, files: Path) -> None:
        """Fit, and write the model or its predictions for the fold into an empty folder.

        Raises:
            ModelError: as for `Model.fit`.
        """
        import numpy as np
        from safetensors.numpy import save_file

        self.context.progress(self.describe(job))
        with Meter(Rates.from_env()) as meter:
            train, held_out = self._parts(job)
            fit = self._fitted(job, train, held_out)
            if job.fold is None:
                (files / _MODEL).mkdir()
                fit.model.save(files / _MODEL)
            else:
                outputs = member_outputs(self.context.shape, fit.model, held_out.inputs)
                # Some kinds return columns one after another, which the format would read as rows.
                save_file({"outputs": np.ascontiguousarray(outputs)}, files / _OUTPUTS)
            cost = meter.read()
        record = MemberRecord(
            rounds=fit.rounds, halved=fit.halved, seconds=cost.seconds, wh=cost.wh
        )
        (files / _FIT).write_text(record.model_dump_json(), encoding="utf-8")

    def on_all_rows(self, member: int, rounds: int | None) -> Model:
        """Fit a member on all rows and return it; raises like `fit`."""
        job = MemberFit(member=member, rounds=rounds)
        return self._fitted(job, *self._parts(job)).model

    def _fitted(self, job: MemberFit, train: LabelledArrays, held_out: LabelledArrays) -> Fit:
        cls, context = self.classes[job.member], self._context(job, train)
        with rare_classes():
            return cls.fit(context, self._encoded(cls, train), self._encoded(cls, held_out))

    def _parts(self, job: MemberFit) -> tuple[LabelledArrays, LabelledArrays]:
        """Return the rows to learn from, and those that decide when to stop."""
        if job.fold is None:
            return self.rows if self.context.whole else self.train, self.validation
        rows, held_out = self.rows, self.fold_of == job.fold
        if self.context.without_fold and self.context.folds is not None and self.context.whole:
            rows = self.context.without_fold(job.fold, rows)
        return rows.take(~held_out), rows.take(held_out)

    def _encoded(self, cls: type[Model], rows: LabelledArrays) -> LabelledArrays:
        return replace(rows, inputs=encoded_for(cls, self.context.shape, rows.inputs))

    def _context(self, job: MemberFit, train: LabelledArrays) -> FitContext:
        context, folder = self.context, self.context.checkpoints
        members = cast(Auto, context.spec).members or ()
        return replace(
            context.weighted_for(train.target),
            spec=members[job.member],
            progress=lambda text: context.progress(f"{self.describe(job)}, {text}"),
            checkpoints=folder / f"{job.name}-training" if folder else None,
            rounds=job.rounds,
            folds=None,
            fit_apart=None,
            budget=None,
        )

    def describe(self, job: MemberFit) -> str:
        """Return such as `member 2/6 gradient_boosting, fold 1/5`."""
        members = cast(Auto, self.context.spec).members or ()
        number = f"member {job.member + 1}/{len(members)} {members[job.member].kind}"
        return (
            f"{number}, all rows"
            if job.fold is None
            else f"{number}, fold {job.fold + 1}/{self.folds}"
        )


def read_record(files: Path) -> MemberRecord:
    """Read how a fit went."""
    return MemberRecord.model_validate_json((files / _FIT).read_bytes())


def read_outputs(files: Path) -> NDArray[np.float64]:
    """Read the outputs for the rows of the fold, [rows, classes] or [rows]."""
    from safetensors.numpy import load_file

    outputs: NDArray[np.float64] = load_file(files / _OUTPUTS)["outputs"]
    return outputs


def read_model(cls: type[Model], context: FitContext, member: int, files: Path) -> Model:
    """Read the model that a fit on all rows wrote."""
    spec = (cast(Auto, context.spec).members or ())[member]
    return cls.load(spec, context.shape, files / _MODEL, context.folder)
