"""The linear datamodelling score: whether predicted effects of groups of rows are the real ones.

Models are trained again on random halves of the training rows; for each judged row, what they say
is ranked and so is the sum of the effects of the rows that each half holds. The mean rank
correlation is the score: 1 is perfect, 0 is chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


TINY = 1e-7
"""Probabilities are no nearer to 0 and 1 than this."""


def halves(target: NDArray[Any], count: int, seed: int) -> NDArray[np.bool_]:
    """[count, rows]: random halves of the rows, each with half of every class, rounded up.

    Args:
        target: [rows], class codes, or numbers, of which any half is as good.
    """
    import numpy as np

    chance = np.random.default_rng(seed)
    found = np.zeros((count, len(target)), dtype=bool)
    classes = target if target.dtype.kind == "i" else np.zeros(len(target), dtype=np.int64)
    members = [np.flatnonzero(classes == code) for code in np.unique(classes)]
    for half in found:
        for rows in members:
            half[chance.permutation(rows)[: (len(rows) + 1) // 2]] = True
    return found


def said(outputs: NDArray[np.float64], classes: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """[…, judged]: the log-odds of each row's class, or the number where there are no classes.

    Args:
        outputs: probabilities […, judged, classes], or numbers […, judged].
        classes: [judged], the class in question of each row.
    """
    import numpy as np

    if classes is None:
        return outputs
    places = np.broadcast_to(classes[:, None], (*outputs.shape[:-1], 1))
    shares = np.take_along_axis(outputs, places, axis=-1)[..., 0].clip(TINY, 1 - TINY)
    odds: NDArray[np.float64] = np.log(shares) - np.log1p(-shares)
    return odds


def lds(
    effects: NDArray[np.float64], held: NDArray[np.bool_], observed: NDArray[np.float64]
) -> float:
    """The score.

    Args:
        effects: [judged, training rows].
        held: [halves, training rows], which rows each half holds.
        observed: [halves, judged], what the models trained on them say.
    """
    import numpy as np

    predicted = held.astype(np.float64) @ effects.T
    return _mean(_rank_correlations(predicted, observed))


def ceiling(observed: NDArray[np.float64]) -> float:
    """The score that perfect effects would have, as training again with another seed differs too.

    Args:
        observed: [halves, seeds, judged]; of a single seed it cannot be told, and 1 is returned.
    """
    import numpy as np

    seeds = observed.shape[1]
    pairs = [
        _mean(_rank_correlations(observed[:, a], observed[:, b]))
        for a in range(seeds)
        for b in range(a)
    ]
    alike = max(float(np.mean(pairs)), 0.0) if pairs else 1.0
    # Spearman-Brown: how alike two means over so many seeds would be.
    return float(np.sqrt(seeds * alike / (1 + (seeds - 1) * alike)))


def _mean(correlations: NDArray[np.float64]) -> float:
    """0 where no row says anything."""
    known = correlations[correlations == correlations]
    return float(known.mean()) if len(known) else 0.0


def _rank_correlations(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[columns]; NaN where a column does not vary, which says nothing."""
    import numpy as np
    from scipy.stats import rankdata

    a, b = (rankdata(values, axis=0) for values in (first, second))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    spread = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: NDArray[np.float64] = (a * b).sum(axis=0) / spread
    return found
