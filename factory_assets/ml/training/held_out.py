"""Held-out rows, which decide, with the outputs of models that have not learned from them.

Fitting these models belongs in `refit`, what the rows decide in `decisions`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from factory_assets.ml.models.base import Fit

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class HeldOut:
    """Held-out rows: those of the validation part, or of inner folds (out-of-fold predictions)."""

    outputs: NDArray[Any]
    """[rows, classes] or [rows]."""
    target: NDArray[Any]
    """[rows], as models learn it: class codes or standardised numbers."""
    truth: NDArray[Any]
    """[rows], as metrics read it: class codes or unscaled numbers."""
    fit: Fit
    """The fit on the training part, or that of the first fold."""
    rounds: int | None
    """For how many rounds the kept model is trained; None if its kind does not stop early."""
    folds: int | None = None
    """The number of inner folds; None for the validation part."""
    places: NDArray[Any] | None = None
    """[rows], the place of each among the training rows, then the validation rows; None for the
    validation part."""
