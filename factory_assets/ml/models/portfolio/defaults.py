"""The members of a portfolio whose declaration names none.

Which members can be declared belongs in `spec.models`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

from factory_assets.spec.linear import Linear
from factory_assets.spec.losses import NumberLoss
from factory_assets.spec.models import (
    Auto,
    ExtraTrees,
    GradientBoosting,
    LightGbm,
    MemberSpec,
    Mlp,
    RandomForest,
    Tabm,
)
from factory_assets.spec.train import ModelSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

TREES, FEWEST_TREES = 200, 32
"""The trees of a forest, and the fewest if there are many classes."""

FOREST_VALUES = 10_000_000
"""How many values the leaves of a forest have at most, one for each class of each leaf. A forest
with more values has fewer trees, because exporting its graph takes about 80 bytes a value."""

LEAVES = 2_500
"""About how many leaves a tree of a forest has at most. With more, the graph of the forest would
take more memory than the rows, and predict hardly better. A random forest may have single rows in
its leaves if a class is rare: it then follows rules exactly, while extra trees smooth."""

ITERATIONS = 1_000
"""The `iterations` of boosting. They are more than a kind has by default, because early stopping
ends those fits that need fewer (`benchmarks.iterations`)."""

INTERACTIONS = 8
"""The `interactions` of the further boosting member."""

INTERACTION_ROWS = 1_000
"""The fewest rows for that member. If simulated rules limit products of inputs, it halved the log
loss (`benchmarks.interactions`). On real tables it mostly changed nothing; on the smallest, any
further member costs a little, because scores differ by chance."""

SLOW_BOOSTING_CLASSES, INTERACTION_CLASSES = 2, 10
"""The most classes for many small trees, and for interactions: with three classes or more, each
step fits a tree for each class, and many steps take too long."""

FOREST_MAX_FEATURES = 0.6
"""The share of the columns that each split of the random forest considers, for classes. On
simulated rules and smooth tables it lowered the log loss of the blend by 1 to 3 %, on real ones not
beyond chance."""

FOREST_CRITERION: Literal["gini"] = "gini"
"""Entropy makes forests better alone, but a blend with one of them not beyond chance
(`benchmarks.split_criterion`)."""

MOST_COLUMNS = 30
"""With more columns, that share would take more than three times as long as scikit-learn's default,
the square root of their number."""

TABM_ROWS = 10_000
"""The most rows for `tabm`: above, its six fits would take a minute or more, some ten times as long
as those of `mlp`."""


def members_of(
    spec: Auto,
    rows: int = 0,
    pure_leaves: int = 0,
    max_features: float | None = None,
    classes: int = 0,
    loss: NumberLoss = "squared_error",
) -> tuple[MemberSpec, ...]:
    """Return the declared members, or the default ones.

    Args:
        rows: the number of training and validation rows.
        pure_leaves: as `count_pure_leaves` returns it.
        max_features: of the random forest.
        classes: the number of classes of the target; 0 if it is a number.
        loss: of boosting.
    """
    if spec.members is not None:
        return spec.members
    network = Mlp(kind="mlp") if rows > TABM_ROWS else Tabm(kind="tabm")
    return (
        Linear(kind="linear"),
        *(one.model_copy(update={"loss": loss}) for one in _boosting(rows, classes)),
        ExtraTrees(
            kind="extra_trees",
            trees=_trees(rows, classes),
            min_samples_leaf=_min_samples_leaf(rows),
            criterion=FOREST_CRITERION,
        ),
        RandomForest(
            kind="random_forest",
            trees=_trees(pure_leaves, classes),
            min_samples_leaf=_min_samples_leaf(pure_leaves),
            max_features=max_features,
            criterion=FOREST_CRITERION,
        ),
        network,
    )


def slow_boosting() -> LightGbm:
    """Return boosting of many small trees that each correct little.

    If little is known, they follow chance less than fewer and larger ones
    (`benchmarks.slow_boosting`); if rules decide, the larger ones are better.
    """
    return LightGbm(
        kind="lightgbm",
        learning_rate=0.03,
        iterations=3_000,
        patience=80,
        max_leaf_nodes=4,
        min_samples_leaf=10,
        max_features=0.5,
    )


def resolve_members(
    spec: ModelSpec,
    targets: Sequence[NDArray[Any]],
    columns: int,
    trials: int | None = None,
    loss: NumberLoss = "squared_error",
) -> ModelSpec:
    """Return the model with the members to try: the declared ones, or the defaults for the rows.

    Any other kind of model is returned unchanged.

    Args:
        targets: [rows], class codes or numbers, of the training and the validation part.
        columns: how many columns trees read.
        trials: how many members are tried at most.
        loss: of a blend of numbers that does not declare its own.
    """
    if not isinstance(spec, Auto):
        return spec
    import numpy as np

    target = np.concatenate(targets)
    classes = int(target.max()) + 1 if np.issubdtype(target.dtype, np.integer) else 0
    max_features = FOREST_MAX_FEATURES if classes and columns <= MOST_COLUMNS else None
    loss = spec.loss or loss
    members = members_of(spec, len(target), count_pure_leaves(target), max_features, classes, loss)
    return spec.model_copy(update={"members": members[:trials], "loss": loss})


def count_pure_leaves(target: NDArray[Any]) -> int:
    """Return about how many leaves a tree needs so that none has rows of different targets.

    Numbers need a leaf for each row. Classes need about two leaves for each row that is not of the
    most frequent class.

    Args:
        target: [rows], class codes or numbers.
    """
    import numpy as np

    if not np.issubdtype(target.dtype, np.integer):
        return len(target)
    return min(len(target), 2 * (len(target) - int(np.bincount(target).max())))


def _boosting(rows: int, classes: int) -> tuple[GradientBoosting | LightGbm, ...]:
    members: list[GradientBoosting | LightGbm] = [
        GradientBoosting(kind="gradient_boosting", iterations=ITERATIONS)
    ]
    if find_spec("lightgbm"):
        if classes <= SLOW_BOOSTING_CLASSES:
            members.append(slow_boosting())
        members.append(LightGbm(kind="lightgbm", iterations=ITERATIONS))
    if rows >= INTERACTION_ROWS and classes <= INTERACTION_CLASSES:
        members.append(members[-1].model_copy(update={"interactions": INTERACTIONS}))
    return tuple(members)


def _trees(leaves: int, classes: int) -> int:
    """Return how many trees a forest has if each would have so many leaves of single rows."""
    values = max(1, min(leaves, LEAVES) * classes)
    return max(FEWEST_TREES, min(TREES, FOREST_VALUES // values))


def _min_samples_leaf(rows: int) -> int:
    """Return the setting with which a tree of so many rows has at most about `LEAVES` leaves."""
    return max(1, ceil(rows / LEAVES))
