"""The settings of a portfolio: several models, of which a weighted mean is kept.

What one of them may declare belongs in `models`. How they are fitted and weighted belongs in
`ml.models.portfolio`.
"""

from typing import Annotated, Literal

from pydantic import Field

from factory_assets.spec.base import Spec, listed
from factory_assets.spec.models import (
    ExtraTrees,
    GradientBoosting,
    LightGbm,
    Linear,
    Mlp,
    RandomForest,
    Tabm,
)

MemberSpec = Annotated[
    Linear | RandomForest | ExtraTrees | GradientBoosting | LightGbm | Mlp | Tabm,
    Field(discriminator="kind"),
]
"""A model that can be a member: one that reads single rows of numbers and categories."""


class Auto(Spec):
    """A portfolio of models: the weighted mean of its best members is kept.

    Each member is judged on rows that it has not learned from. The smallest set is kept whose
    mean is not worse than that of all by more than its noise; if one is as good, it alone.
    """

    kind: Literal["auto"]
    """Selects a portfolio of models."""
    members: (
        Annotated[tuple[MemberSpec, ...], listed, Field(min_length=1, max_length=12)] | None
    ) = None
    """The models that are tried, in this order, each with its settings, such as
    `[{kind: linear}, {kind: mlp}]`. Default: linear, gradient_boosting, lightgbm (if it is
    installed), extra_trees, random_forest and mlp."""
