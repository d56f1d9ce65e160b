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
from factory_assets.ml.training.preparation import TrainingData
from factory_assets.ml.training.refit import HeldOut, all_rows
from factory_assets.results.uncertainty import RegionBounds
from factory_assets.spec import Pipeline

if TYPE_CHECKING:
    from numpy.typing import NDArray


def held_out_regions(
    pipeline: Pipeline, ready: TrainingData, held_out: HeldOut, outputs: NDArray[Any]
) -> RegionBounds | None:
    """Return the bounds that the declaration asks for; None if it asks for none.

    Args:
        outputs: of the held-out rows, calibrated.
    """
    declared, target = pipeline.spec.training.uncertainty, ready.target
    if declared is None:
        return None
    if target.task == "regression":
        outputs = target.unscaled(outputs)
    rows = all_rows(ready) if held_out.folds else ready.validation
    return fit_regions(declared, ready.features, target, rows.inputs, held_out.truth, outputs)
