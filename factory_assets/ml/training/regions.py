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
from factory_assets.ml.features.arrays import LabelledArrays
from factory_assets.ml.features.features import Features
from factory_assets.ml.features.target import Target
from factory_assets.results.uncertainty import RegionBounds
from factory_assets.spec.uncertainty import Uncertainty

if TYPE_CHECKING:
    from numpy.typing import NDArray


def held_out_regions(
    declared: Uncertainty,
    features: Features,
    target: Target,
    rows: LabelledArrays,
    truth: NDArray[Any],
    outputs: NDArray[Any],
) -> RegionBounds:
    """Return the bounds that the declaration asks for.

    Args:
        rows: that were held out.
        truth: [rows], class codes, or numbers in the unit of the target.
        outputs: of the models, [rows, classes], calibrated; or [rows], standardised.
    """
    if target.task == "regression":
        outputs = target.unscaled(outputs)
    return fit_regions(declared, features, target, rows.inputs, truth, outputs)
