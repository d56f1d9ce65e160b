"""The settings of linear models. Fitting them belongs in `ml.models.linear`."""

from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field

from factory_assets.spec.base import Positive, StoredSettings


class Linear(StoredSettings):
    """Logistic regression for classes, ridge regression for numbers."""

    former = MappingProxyType({"extrapolation": None})
    kind: Literal["linear"]
    """Selects logistic or ridge regression."""
    regularisation: Positive = 1.0
    """The strength of the L2 penalty: 1/C of logistic regression, alpha of ridge regression."""
    extrapolation: Annotated[float, Field(ge=0)] | None = 1.0
    """How far beyond the numbers of the training rows a column still changes the result, in
    multiples of their range: with values from 0 to 50 and 1, from -50 to 100. Anything further
    counts as the nearest of these limits, so that one wrong value does not give an absurd answer.
    0 stops at the smallest and the largest value; null: no limits."""
