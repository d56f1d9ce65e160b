"""Let the kept model learn from all rows: training rows, and validation rows once they decided.

First, models predict held-out rows: those of the validation part or, if rows are few, of inner
folds. These predictions decide calibration, threshold and for how many rounds the kept model is
trained. Choosing the first two belongs in `decisions`; test rows never come here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from factory_assets.ml.features.arrays import LabelledArrays
from factory_assets.ml.models.base import Fit, FitContext, median_rounds
from factory_assets.ml.models.kinds import fit_model
from factory_assets.ml.training.held_out import HeldOut
from factory_assets.ml.training.inner_folds import COUNT
from factory_assets.ml.training.preparation import TrainingData
from factory_assets.spec import ModelSpec, Pipeline
from factory_assets.spec.models import Auto
from factory_resources.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray


FEW_ROWS = 2_000
"""Training and validation rows below which inner folds decide. The usual tenth is then below 200
rows, on which a threshold or the best epoch is mostly chance, and six fits take seconds."""

FEW_OF_A_CLASS = 50
"""Validation rows of the rarer of two classes below which inner folds decide: with 50 rows, the
recall at a threshold has a standard error of .07, and the threshold is chosen on them."""

MOST_ROWS = 20_000
"""Training and validation rows above which inner folds never decide, so that what they cost stays
within a few minutes."""


AfterFold = Callable[[HeldOut], None]
"""Reads the rows of all inner folds so far."""


def reason_against_refit(pipeline: Pipeline, ready: TrainingData, model: ModelSpec) -> str | None:
    """Return why the kept model learns from the training rows alone; None if it need not.

    It is fitted again only if that takes about as much as the first fit, and gives the same result
    every time. So it is not if a budget is declared, because the first fit may leave nothing of it;
    nor if several devices or machines train together, or the rows do not fit in memory. A portfolio
    always fits what it keeps once more, and reserves a part of its budget for that.
    """
    spec = pipeline.spec.training
    if spec.refit == "never":
        return "the declaration says never"
    if isinstance(model, Auto):
        return None
    if spec.budget:
        return "a budget is declared"
    if not spec.trainer.alone:
        return "several devices train together"
    if ready.mapped:
        return "the rows do not fit in memory"
    return None


def needs_folds(pipeline: Pipeline, ready: TrainingData, model: ModelSpec) -> bool:
    """Whether rows are so few that inner folds decide in place of the validation part.

    They do so only if the kept model may learn from all rows; a portfolio has folds of its own,
    however many rows there are.
    """
    import numpy as np

    if (
        ready.folds is None
        or isinstance(model, Auto)
        or reason_against_refit(pipeline, ready, model)
    ):
        return False
    if len(ready.folds) < FEW_ROWS:
        return True
    if ready.target.task != "binary" or len(ready.folds) > MOST_ROWS:
        return False
    return bool(np.bincount(ready.truth, minlength=2).min() < FEW_OF_A_CLASS)


def fit_part(context: FitContext, ready: TrainingData) -> HeldOut:
    """Fit on the training part, and predict the validation part.

    Of a portfolio, return the rows that its members were judged on.
    """
    fit = fit_model(context, ready.rows, ready.validation)
    if fit.judged:
        rows = fit.judged.rows
        return HeldOut(fit.judged.outputs, *_targets(ready, rows), fit, None, places=rows)
    outputs = fit.model.outputs(ready.validation.inputs)
    return HeldOut(outputs, ready.validation.target, ready.truth, fit, fit.rounds)


def fit_folds(
    context: FitContext, ready: TrainingData, after_fold: AfterFold | None = None
) -> HeldOut:
    """Fit without each inner fold, which decides when to stop, and predict that fold.

    The fits take place here, one after another: the rows are few.

    Args:
        after_fold: called after each fold but the last; an exception that it raises ends the fits.
    """
    import numpy as np

    whole, folds = ready.all_rows, ready.folds
    assert folds is not None
    fits: list[Fit] = []
    outputs: list[NDArray[Any]] = []
    for fold in range(COUNT):
        known = ready.statistics.without(fold, whole) if ready.statistics else whole
        train, judged = (
            known.take(np.flatnonzero(rows)) for rows in (folds != fold, folds == fold)
        )
        fit = fit_model(_for_fold(context, fold, train), train, judged)
        fits.append(fit)
        outputs.append(fit.model.outputs(judged.inputs))
        if after_fold and fold + 1 < COUNT:
            after_fold(_held_out(ready, fits, outputs))
    return _held_out(ready, fits, outputs)


def _held_out(ready: TrainingData, fits: list[Fit], outputs: list[NDArray[Any]]) -> HeldOut:
    """Return the rows of the folds so far, in the order of all rows."""
    import numpy as np

    folds = ready.folds
    assert folds is not None
    places = np.concatenate([np.flatnonzero(folds == fold) for fold in range(len(fits))])
    order = np.argsort(places)
    rows = places[order]
    rounds = median_rounds(fit.rounds for fit in fits)
    targets = _targets(ready, rows)
    return HeldOut(np.concatenate(outputs)[order], *targets, fits[0], rounds, len(fits), rows)


def _targets(ready: TrainingData, rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the target of rows as models learn it, and their truth as metrics read it.

    Args:
        rows: their positions among the training rows, then the validation rows.
    """
    import numpy as np

    assert ready.trained_truth is not None
    target = np.concatenate([ready.rows.target, ready.validation.target])
    return target[rows], np.concatenate([ready.trained_truth, ready.truth])[rows]


def fit_again(context: FitContext, ready: TrainingData, rounds: int | None) -> Fit:
    """Fit on training and validation rows, which decide nothing."""
    whole = ready.all_rows
    folder = context.checkpoints
    again = replace(
        context.weighted_for(whole.target),
        rounds=rounds,
        watch=None,
        progress=_prefixed(context.progress, "with the validation rows"),
        checkpoints=folder / "refit" if folder else None,
        followed=False,
    )
    return fit_model(again, whole, ready.validation)


def _for_fold(context: FitContext, fold: int, train: LabelledArrays) -> FitContext:
    folder = context.checkpoints
    return replace(
        context.weighted_for(train.target),
        progress=_prefixed(context.progress, f"inner fold {fold + 1} of {COUNT}"),
        checkpoints=folder / f"fold-{fold}" if folder else None,
        members=None,
    )


def _prefixed(progress: Progress, what: str) -> Progress:
    return lambda text: progress(f"{what}, {text}")
