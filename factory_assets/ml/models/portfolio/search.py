"""Fit a portfolio: judge its members, weight them, and fit those that are kept on all rows.

Each fit is done once: what a killed training has finished is read from its checkpoints. A single
fit belongs in `member`, the weights in `weights`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import move, rmtree
from typing import TYPE_CHECKING, cast

from factory_assets.ml.features.arrays import LabelledArrays
from factory_assets.ml.models.base import (
    FitContext,
    FitCost,
    JudgedMembers,
    MemberFit,
    Model,
    median_rounds,
)
from factory_assets.ml.models.portfolio.member import (
    MemberRecord,
    PortfolioRows,
    read_model,
    read_outputs,
    read_record,
)
from factory_assets.ml.models.portfolio.weights import smallest_blend
from factory_assets.spec.models import Auto
from factory_resources.home.home import storage_errors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


TRYING, PHASES = 0, 2
"""A budget has two equal phases: trying members, and fitting those that are kept."""


@dataclass(frozen=True)
class FittedPortfolio:
    """The members that are kept, and the held-out predictions of all that were tried."""

    models: Mapping[int, Model]
    """By the index of the member."""
    judged: JudgedMembers
    halved: bool
    """As of `Fit`, of any of the kept ones."""


def fit_portfolio(
    classes: Sequence[type[Model]],
    context: FitContext,
    train: LabelledArrays,
    validation: LabelledArrays,
) -> FittedPortfolio:
    """Fit the declared members without each fold, and those that are kept on all rows.

    Args:
        classes: the class of each declared member.

    Raises:
        ModelError: as the fit of a member; before any, if a library is missing.
    """
    for cls in classes:
        cls.require_library()
    search = PortfolioSearch(PortfolioRows(classes, context, train, validation))
    tried = search.judge()
    judged = search.judged(tried)
    kept = [i for i, weight in enumerate(judged.weights) if weight]
    fits = [MemberFit(member=i, rounds=judged.rounds[i]) for i in kept]
    models, halved = {}, False
    for i, files in zip(kept, search.done(fits), strict=True):
        models[i] = read_model(classes[i], context, i, files)
        halved |= read_record(files).halved
    return FittedPortfolio(models, judged, halved)


@dataclass(frozen=True)
class JudgedFold:
    """The predictions of a member for the fold that its fit left out, and how that fit went."""

    outputs: NDArray[np.float64]
    """[rows, classes] or [rows]."""
    record: MemberRecord


@dataclass(frozen=True)
class PortfolioSearch:
    """One search in progress."""

    rows: PortfolioRows

    def judge(self) -> list[list[JudgedFold]]:
        """Fit members without each fold: all of them, or as many as the budget allows.

        Returns:
            For each member that was tried, one `JudgedFold` for each fold.
        """
        members, folds = range(len(self.rows.classes)), range(self.rows.folds)
        fits = [[MemberFit(member=member, fold=fold) for fold in folds] for member in members]
        budget = self.rows.context.budget
        if budget is None:
            # No fit depends on another, so that all may be done at the same time.
            judged = [*map(read_judged, self.done([one for of in fits for one in of]))]
            return [judged[i : i + len(folds)] for i in range(0, len(judged), len(folds))]
        share = budget.part(TRYING, PHASES)
        tried: list[list[JudgedFold]] = []
        for of_member in fits:
            # What a killed training has finished is paid for, whatever it spent later.
            if tried and self._missing(of_member) and share.over(len(tried)):
                break
            tried.append([*map(read_judged, self.done(of_member))])
        return tried

    def judged(self, tried: Sequence[Sequence[JudgedFold]]) -> JudgedMembers:
        """Weight the members by their predictions for all held-out rows."""
        import numpy as np

        rows, context = self.rows, self.rows.context
        spec = cast(Auto, context.spec)
        held_out = np.flatnonzero(rows.fold_of >= 0)
        folds = rows.fold_of[held_out]
        by_fold = np.argsort(folds, kind="stable")
        outputs = []
        for of_member in tried:
            ordered = np.concatenate([one.outputs for one in of_member])
            in_place = np.empty_like(ordered)
            in_place[by_fold] = ordered
            outputs.append(in_place)
        target = rows.rows.target[held_out]
        row_weights = context.sample_weights(target)
        found = smallest_blend(
            np.stack(outputs),
            target,
            row_weights,
            tolerance=spec.tolerance,
            seed=context.seed,
            loss=spec.loss or "squared_error",
        )
        untried = len(rows.classes) - len(tried)
        return JudgedMembers(
            rows=held_out,
            folds=folds,
            members=np.stack(outputs),
            weights=(*found, *[0.0] * untried),
            costs=tuple(_total(one.record for one in of_member) for of_member in tried),
            rounds=tuple(
                median_rounds(one.record.rounds for one in of_member) for of_member in tried
            ),
        )

    def done(self, fits: Sequence[MemberFit]) -> Iterator[Path]:
        """Do all fits that were not done before; yield the files of each, in their order."""
        context, folder = self.rows.context, self._folder
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        missing = self._missing(fits)
        do = context.fit_apart or self._fit_here
        for fit, files in zip(missing, do(context, missing), strict=True):
            _keep(files, folder / fit.name)
        yield from (folder / fit.name for fit in fits)

    @property
    def _folder(self) -> Path:
        """Where finished fits are kept."""
        return self.rows.context.checkpoints or self.rows.context.scratch

    def _missing(self, fits: Sequence[MemberFit]) -> list[MemberFit]:
        return [fit for fit in fits if not (self._folder / fit.name).is_dir()]

    def _fit_here(self, context: FitContext, fits: Sequence[MemberFit]) -> Iterator[Path]:
        files = context.scratch / "fit"
        for fit in fits:
            files.mkdir()
            self.rows.fit(fit, files)
            yield files


def read_judged(files: Path) -> JudgedFold:
    """Read what the fit without a fold wrote."""
    return JudgedFold(read_outputs(files), read_record(files))


def _total(records: Iterable[MemberRecord]) -> FitCost:
    seconds, wh = zip(*((one.seconds, one.wh) for one in records), strict=True)
    return FitCost(sum(seconds), sum(wh))


def _keep(files: Path, folder: Path) -> None:
    """Move the files of a fit to a folder, which is complete as soon as it is there."""
    new = folder.with_name(f"{folder.name}.new")
    with storage_errors(folder):
        rmtree(new, ignore_errors=True)
        move(files, new)
        for path in (path for path in new.rglob("*") if path.is_file()):
            with path.open("rb") as file:
                os.fsync(file.fileno())
        os.replace(new, folder)
