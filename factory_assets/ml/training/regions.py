"""Fit the bounds of sets or intervals on the rows that no model had learned from.

Where inner folds decided, each of those rows was predicted by a model of another fold, and the kept
model has learned from all of them. It predicts new rows a little better than those models did, so
the regions are rather too large than too small; unlike for a single held-out part, that is not
proven (R. F. Barber et al., arXiv 1905.02928; their CV+, which is, asks the models of all folds for
each answer). The bounds themselves belong in `ml.artifacts.conformal`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from factory_assets.ml.artifacts.conformal import fit_regions
from factory_assets.ml.features.arrays import concatenate
from factory_assets.results.uncertainty import RegionBounds
from factory_assets.spec import Pipeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from factory_assets.ml.training.preparation import TrainingData


def held_out_regions(
    pipeline: Pipeline,
    ready: TrainingData,
    places: NDArray[Any] | None,
    truth: NDArray[Any],
    outputs: NDArray[Any],
) -> RegionBounds | None:
    """Return the bounds that the declaration asks for; None if it asks for none.

    Args:
        places: of the held-out rows among the training rows, then the validation rows; None for
            the validation part.
        truth: [rows], class codes, or numbers in the unit of the target.
        outputs: of the models, [rows, classes], calibrated; or [rows], standardised.
    """
    declared, target = pipeline.spec.training.uncertainty, ready.target
    if declared is None:
        return None
    if target.task == "regression":
        outputs = target.unscaled(outputs)
    rows = ready.validation
    if places is not None:
        rows = concatenate([ready.rows, ready.validation]).take(places)
    inputs = rows.inputs
    return fit_regions(declared, ready.features, target, inputs, truth, outputs)
