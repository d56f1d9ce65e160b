"""Rows dealt out so that every hand is alike: in their classes, whole groups in one hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def deal(strata: NDArray[Any], units: NDArray[Any], seed: int) -> NDArray[np.int64]:
    """The place of each row's unit in an order in which alike units stand together, else by chance.

    Dealt from it like cards, every hand is alike. A unit counts as the rarest of its rows' strata,
    so that rare classes are spread; of alike units the larger come first.

    Args:
        strata: [rows], not negative: what hands should hold alike.
        units: [rows]: rows of the same unit stay together.
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


def drawn(ranks: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """A share of what is dealt, at least one unit: evenly through the order."""
    import numpy as np

    return np.asarray(np.floor(ranks * share) > np.floor((ranks - 1) * share))
