"""Inner folds: which fold each training and validation row belongs to.

They give each of these rows one prediction of a model that has not learned from it, by which
settings are chosen without the test rows. Test rows never come here; the folds of an evaluation
belong in `ml.evaluation.cross_validation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from factory_assets.ml.features.series import Series, value_codes
from factory_assets.ml.features.target import Target
from factory_assets.spec import Pipeline

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


COUNT = 5
"""The number of inner folds: each model learns from four fifths of the rows."""


def inner_folds(
    pipeline: Pipeline,
    target: Target,
    tables: tuple[pa.Table, pa.Table],
    series: Series | None = None,
) -> NDArray[np.int64] | None:
    """Divide the rows into `COUNT` folds with about the same share of every class.

    Rows of the same group (`split.group`) or series are in the same fold. The draw depends on
    `train.seed` alone.

    Args:
        tables: training and validation rows, all of classes that the target knows.
        series: how rows form the windows of the model; None if it reads single rows.

    Returns:
        [rows]: the fold of each row. None if the validation rows are the latest or were marked by
        the user, so that rows drawn at random would not do the same; or if there are fewer groups
        than folds, or a class would be missing from what the model of a fold learns from.
    """
    import numpy as np

    rule = pipeline.spec.split
    if rule.time or (rule.given and rule.given.validation):
        return None
    folds, strata = _dealt(pipeline, target, tables, series)
    counts = np.zeros((COUNT, max(len(target.classes), 1)), np.int64)
    np.add.at(counts, (folds, strata), 1)
    is_possible = counts.any(axis=1).all() and (counts.sum(axis=0) > counts).all()
    return folds if is_possible else None


def training_folds(
    pipeline: Pipeline, target: Target, training: pa.Table
) -> NDArray[np.int64] | None:
    """Divide training rows alone, also where `inner_folds` would judge by the wrong rows.

    Returns:
        [rows]: the fold of each row; None if there are fewer groups than folds.
    """
    import numpy as np

    folds, _ = _dealt(pipeline, target, (training,), None)
    return folds if len(np.unique(folds)) == COUNT else None


def _dealt(
    pipeline: Pipeline, target: Target, tables: Sequence[pa.Table], series: Series | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the fold and the class of each row."""
    import numpy as np
    import pyarrow as pa

    names = [pipeline.spec.training.target, pipeline.spec.split.group, series and series.by]
    used = [*dict.fromkeys(filter(None, names))]
    table = pa.concat_tables([part.select(used) for part in tables])
    strata = target.values(table) if target.classes else np.zeros(table.num_rows, np.int64)
    ranks = stratified_ranks(strata, _units(pipeline, table, series), pipeline.spec.training.seed)
    return ranks % COUNT, strata


def _units(pipeline: Pipeline, table: pa.Table, series: Series | None) -> NDArray[np.int64]:
    """[rows]: rows of the same code must stay in one fold."""
    import numpy as np

    names = (pipeline.spec.split.group, series.by if series else None)
    codes = [value_codes(table[name]) for name in dict.fromkeys(names) if name]
    if len(codes) < 2:
        return codes[0] if codes else np.arange(table.num_rows)
    return _connected(*codes)


def _connected(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """[rows]: one code for all rows that a chain of equal codes of either kind connects."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    nodes = first.max() + second.max() + 2
    links = coo_array((np.ones(len(first)), (first, first.max() + 1 + second)), (nodes, nodes))
    _, component = connected_components(links, directed=False)
    return np.asarray(component[first], dtype=np.int64)


def stratified_ranks(strata: NDArray[Any], units: NDArray[Any], seed: int) -> NDArray[np.int64]:
    """Rank the units of the rows for stratified folds.

    Units are sorted by stratum, in it the larger ones first, and otherwise at random. If every n-th
    unit of this order goes to the same fold, all n folds have about the same strata. A unit belongs
    to the rarest stratum of its rows, so that rare classes are spread.

    Args:
        strata: [rows], not negative: the codes that each fold should have in the same proportion.
        units: [rows]: rows of the same unit stay together.

    Returns:
        [rows]: the rank of each row's unit, from 0.
    """
    import numpy as np

    _, unit, size = np.unique(units, return_inverse=True, return_counts=True)
    rarity = np.bincount(strata)[strata]
    by_unit = np.lexsort((strata, rarity, unit))
    stratum = strata[by_unit[np.searchsorted(unit[by_unit], np.arange(len(size)))]]
    chance = np.random.default_rng(seed).permutation(len(size))
    ranks = np.empty(len(size), dtype=np.int64)
    ranks[np.lexsort((chance, -size, stratum))] = np.arange(len(size))
    return ranks[unit]
