"""The members of a portfolio whose declaration names none.

Which members can be declared belongs in `spec.models`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from math import ceil
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from numpy.typing import NDArray

TREES = 200

LEAVES = 2_500
"""A tree of a forest has about so many leaves at most: with more, the graph of a forest would take
more memory than the rows, and its trees hardly predict better. A random forest may have single rows
in its leaves if a class is rare: it then follows rules exactly, and extra trees smooth."""

INTERACTIONS = 8

INTERACTION_ROWS = 1_000
"""With at least so many rows, boosting is tried once more, with interactions of so many numbers.
Where drawn rules limit products of inputs, it halved the log loss (`benchmarks.interactions`);
on real tables it mostly changed nothing, but on the smallest ones a further member costs a little,
since figures differ by chance."""

MOST_CLASSES = 2
"""With more classes there is a tree of each for every step, and many small steps cost too much."""

LOOKED_AT = 0.6
"""The share of the columns that a split of the random forest looks at, to tell classes apart. On
drawn rules and smooth tables the log loss of the blend fell by 1 to 3 %, on real ones not beyond
chance."""

MOST_COLUMNS = 30
"""With more columns, so large a share would take more than three times as long as the square root
of their number, which is scikit-learn's default."""

TABM_ROWS = 10_000
"""Above so many rows, the six fits of `tabm` would take a minute or more, some ten times as long as
those of `mlp`."""


def members_of(
    spec: Auto,
    rows: int = 0,
    parted: int = 0,
    looked_at: float | None = None,
    classes: int = 0,
) -> tuple[MemberSpec, ...]:
    """Return the declared members, or the default ones for so many rows.

    Args:
        parted: as of `parted_rows`.
        looked_at: `max_features` of the random forest.
        classes: of the target; 0 if it is a number.
    """
    if spec.members is not None:
        return spec.members
    network = Mlp(kind="mlp") if rows > TABM_ROWS else Tabm(kind="tabm")
    return (
        Linear(kind="linear"),
        *_boosting(rows, classes),
        ExtraTrees(kind="extra_trees", trees=TREES, min_samples_leaf=_leaf(rows)),
        RandomForest(
            kind="random_forest",
            trees=TREES,
            min_samples_leaf=_leaf(parted),
            max_features=looked_at,
        ),
        network,
    )


def slow_boosting() -> LightGbm:
    """Return many small trees that each correct little, beside the fewer and larger ones.

    Where little is known, they follow chance less (`benchmarks.slow_boosting`); where rules decide,
    the larger ones are better.
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


def settled(
    spec: ModelSpec, targets: Sequence[NDArray[Any]], columns: int, trials: int | None = None
) -> ModelSpec:
    """Return the model with the members that are tried; any other kind stays as it is.

    Args:
        targets: [rows] of each part to learn from, class codes or numbers.
        columns: those that trees read.
        trials: how many members are tried at most.
    """
    if not isinstance(spec, Auto):
        return spec
    import numpy as np

    target = np.concatenate(targets)
    classes = int(target.max()) + 1 if np.issubdtype(target.dtype, np.integer) else 0
    looked_at = LOOKED_AT if classes and columns <= MOST_COLUMNS else None
    members = members_of(spec, len(target), parted_rows(target), looked_at, classes)
    return spec.model_copy(update={"members": members[:trials]})


def parted_rows(target: NDArray[Any]) -> int:
    """Return about how many leaves it takes to have each row among its like alone.

    Of classes, a split is needed only where there is a row that is not of the most frequent one.
    """
    import numpy as np

    if not np.issubdtype(target.dtype, np.integer):
        return len(target)
    return min(len(target), 2 * (len(target) - int(np.bincount(target).max())))


def _boosting(rows: int, classes: int) -> tuple[GradientBoosting | LightGbm, ...]:
    members: list[GradientBoosting | LightGbm] = [GradientBoosting(kind="gradient_boosting")]
    if find_spec("lightgbm"):
        if classes <= MOST_CLASSES:
            members.append(slow_boosting())
        members.append(LightGbm(kind="lightgbm"))
    if rows >= INTERACTION_ROWS:
        members.append(members[-1].model_copy(update={"interactions": INTERACTIONS}))
    return tuple(members)


def _leaf(rows: int) -> int:
    return max(1, ceil(rows / LEAVES))
