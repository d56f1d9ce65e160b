"""The members of a portfolio whose declaration names none.

Which members can be declared belongs in `spec.models`.
"""

from __future__ import annotations

from importlib.util import find_spec
from math import ceil

from factory_assets.spec.models import (
    Auto,
    ExtraTrees,
    GradientBoosting,
    LightGbm,
    Linear,
    MemberSpec,
    Mlp,
    RandomForest,
    Tabm,
)
from factory_assets.spec.train import ModelSpec

TREES = 200

LEAVES = 2_500
"""A tree of a forest has about so many leaves at most: with more, the graph of a forest would take
more memory than the rows, and its trees hardly predict better."""

TABM_ROWS = 10_000
"""Above so many rows, `tabm` takes minutes for six fits, ten times as long as `mlp`."""


def members_of(spec: Auto, rows: int = 0) -> tuple[MemberSpec, ...]:
    """Return the declared members, or the default ones for so many rows."""
    if spec.members is not None:
        return spec.members
    leaf = max(1, ceil(rows / LEAVES))
    network = Mlp(kind="mlp") if rows > TABM_ROWS else Tabm(kind="tabm")
    boosted = (LightGbm(kind="lightgbm"),) if find_spec("lightgbm") else ()
    return (
        Linear(kind="linear"),
        GradientBoosting(kind="gradient_boosting"),
        *boosted,
        ExtraTrees(kind="extra_trees", trees=TREES, min_samples_leaf=leaf),
        RandomForest(kind="random_forest", trees=TREES, min_samples_leaf=leaf),
        network,
    )


def settled(spec: ModelSpec, rows: int, trials: int | None = None) -> ModelSpec:
    """Return the model with the members that are tried; any other kind stays as it is.

    Args:
        rows: how many rows there are to learn from.
        trials: how many members are tried at most.
    """
    if not isinstance(spec, Auto):
        return spec
    return spec.model_copy(update={"members": members_of(spec, rows)[:trials]})
