"""Boosted trees: scikit-learn's, and LightGBM's where that is installed."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from factory_assets.spec.base import Spec
from factory_assets.spec.network import Positive


class Boosting(Spec):
    """What boosted trees are grown with."""

    iterations: Annotated[int, Field(ge=1, le=10_000)] = 300
    """The largest number of trees; fewer where the validation loss stops falling."""
    patience: Annotated[int, Field(ge=1)] = 20
    """Trees without a better validation loss before training stops."""
    learning_rate: Positive = 0.1
    """How much each tree corrects those before it."""
    max_leaf_nodes: Annotated[int, Field(ge=2)] = 31
    """The largest number of leaves of a tree."""
    min_samples_leaf: Annotated[int, Field(ge=1)] = 20
    """The fewest training rows in a leaf."""
    regularisation: Annotated[float, Field(ge=0)] = 0.0
    """Strength of the L2 penalty on the leaves."""
    max_features: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share of the inputs, drawn anew, among which each split is looked for: less helps where
    many inputs say nearly the same."""


class GradientBoosting(Boosting):
    """Histogram gradient boosting, by scikit-learn."""

    kind: Literal["gradient_boosting"]
    """Which model."""
    ensemble: Annotated[int, Field(ge=1, le=100)] = 1
    """How often it is grown, from one seed after another; what they say is averaged. They differ by
    `max_features` alone."""

    @model_validator(mode="after")
    def _members_differ(self) -> Self:
        if self.ensemble > 1 and self.max_features == 1:
            raise ValueError(
                "an ensemble of boosting needs max_features below 1, such as 0.3: "
                "all its members would be the same"
            )
        return self


class LightGbm(Boosting):
    """Gradient boosting by LightGBM: `pip install '.[lightgbm]'`."""

    kind: Literal["lightgbm"]
    """Which model."""
    max_leaf_nodes: Annotated[int, Field(ge=2, le=131_072)] = 31
    """The largest number of leaves of a tree."""
