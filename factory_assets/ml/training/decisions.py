"""What is decided by rows that models had not learned from: calibration, threshold and bounds.

Fitting these models belongs in `refit`, how a threshold is chosen in `threshold`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_assets.ml.artifacts.calibration import Calibration, fit_calibration
from factory_assets.ml.artifacts.trained_model import Description, TrainedModel
from factory_assets.ml.features.target import Target
from factory_assets.ml.training.fit_result import FitResult
from factory_assets.ml.training.leaderboard import leaderboard
from factory_assets.ml.training.preparation import TrainingData
from factory_assets.ml.training.refit import HeldOut, all_rows
from factory_assets.ml.training.regions import held_out_regions
from factory_assets.ml.training.threshold import choose_threshold
from factory_assets.results.uncertainty import RegionBounds
from factory_assets.spec import ModelSpec, Pipeline

if TYPE_CHECKING:
    from factory_assets.ml.metrics.metrics import ScoredRows


@dataclass(frozen=True)
class Decisions:
    """Calibration and threshold, with the rows that decided them."""

    calibration: Calibration | None
    threshold: float | None
    """None unless there are two classes."""
    scored: ScoredRows


def decide(pipeline: Pipeline, target: Target, held_out: HeldOut) -> Decisions:
    """Choose calibration and threshold, and decide the rows with them."""
    from factory_assets.ml.metrics.metrics import ScoredRows

    outputs = held_out.outputs
    calibration = fit_calibration(pipeline.spec.training.calibrate, held_out.target, outputs)
    if calibration:
        outputs = calibration.apply(outputs)
    threshold = None
    if target.task == "binary":
        rule = pipeline.spec.decision_rule
        threshold = choose_threshold(rule, held_out.target, outputs[:, 1])
    if target.task == "regression":
        outputs = target.unscaled(outputs)
    at_least = 0.5 if threshold is None else threshold
    scored = ScoredRows(target.task, held_out.truth, outputs, at_least)
    return Decisions(calibration, threshold, scored)


def decided_fit(
    pipeline: Pipeline, ready: TrainingData, model: ModelSpec, held_out: HeldOut
) -> FitResult:
    """Return the fitted model with what its held-out rows decide."""
    target, decisions = ready.target, decide(pipeline, ready.target, held_out)
    description = Description(
        spec=model,
        # What a process of these stages needs says nothing of the rows.
        ingest=pipeline.spec.ingest.model_copy(update={"resources": None}),
        clean=pipeline.spec.clean.model_copy(update={"resources": None}),
        features=ready.features,
        target=target,
        threshold=decisions.threshold,
        calibration=decisions.calibration,
        regions=_regions(pipeline, ready, held_out, decisions.calibration),
    )
    fit = held_out.fit
    return FitResult(
        TrainedModel(description, fit.model),
        fit.history,
        fit.best_epoch,
        decisions.scored,
        halved=fit.halved,
        rounds=held_out.rounds,
        folds=held_out.folds,
        portfolio=leaderboard(pipeline, model, target, held_out.truth, fit.judged),
        costs=fit.judged.costs if fit.judged else (),
    )


def _regions(
    pipeline: Pipeline, ready: TrainingData, held_out: HeldOut, calibration: Calibration | None
) -> RegionBounds | None:
    declared, places = pipeline.spec.training.uncertainty, held_out.places
    if declared is None:
        return None
    outputs = calibration.apply(held_out.outputs) if calibration else held_out.outputs
    rows = ready.validation if places is None else all_rows(ready).take(places)
    return held_out_regions(declared, ready.features, ready.target, rows, held_out.truth, outputs)
