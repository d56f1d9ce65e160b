"""Choose calibration and threshold on held-out rows.

Fitting the models that predict these rows belongs in `refit`, how a threshold is chosen in
`threshold`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from factory_assets.ml.artifacts.calibration import Calibration, fit_calibration
from factory_assets.ml.features.target import Target
from factory_assets.ml.training.held_out import HeldOut
from factory_assets.ml.training.threshold import choose_threshold
from factory_assets.spec import Pipeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from factory_assets.ml.metrics.metrics import ScoredRows


@dataclass(frozen=True)
class Decisions:
    """Calibration and threshold, and the held-out rows that they were chosen on."""

    calibration: Calibration | None
    threshold: float | None
    """None unless there are two classes."""
    outputs: NDArray[Any]
    """[rows, classes] or [rows]: the outputs of the models for these rows, calibrated."""
    scored: ScoredRows


def decide(pipeline: Pipeline, target: Target, held_out: HeldOut) -> Decisions:
    """Choose calibration and threshold on rows that the models have not learned from."""
    outputs = held_out.outputs
    calibration = fit_calibration(pipeline.spec.training.calibrate, held_out.target, outputs)
    if calibration:
        outputs = calibration.apply(outputs)
    binary = target.task == "binary"
    rule = pipeline.spec.decision_rule
    threshold = choose_threshold(rule, held_out.target, outputs[:, 1]) if binary else None
    scored = _scored(target, held_out.truth, outputs, threshold)
    return Decisions(calibration, threshold, outputs, scored)


def _scored(
    target: Target, truth: NDArray[Any], outputs: NDArray[Any], threshold: float | None
) -> ScoredRows:
    from factory_assets.ml.metrics.metrics import ScoredRows

    if target.task == "regression":
        outputs = target.unscaled(outputs)
    return ScoredRows(target.task, truth, outputs, 0.5 if threshold is None else threshold)
