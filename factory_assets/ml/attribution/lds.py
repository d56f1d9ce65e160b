"""The linear datamodelling score (LDS): how well predicted effects of groups of rows match reality.

Models are trained again on random halves of the training rows. For each judged row, the predictions
of these models are ranked, and so are the sums of the effects of the rows in each half. The score
is the mean rank correlation (Spearman): 1 is perfect, 0 is chance. Training the models belongs in
`measurement`.

Source: Park et al., TRAK: attributing model behavior at scale (2023), arXiv 2303.14186.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


TINY = 1e-7
"""Probabilities are clipped to at least this distance from 0 and 1."""


def halves(target: NDArray[Any], count: int, seed: int) -> NDArray[np.bool_]:
    """[count, rows]: random halves of the rows, each with half of every class, rounded up.

    Args:
        target: [rows], class codes; or numbers, for which the halves are drawn from all rows.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    chosen = np.zeros((count, len(target)), dtype=bool)
    classes = target if target.dtype.kind == "i" else np.zeros(len(target), dtype=np.int64)
    members = [np.flatnonzero(classes == code) for code in np.unique(classes)]
    for half in chosen:
        for rows in members:
            half[random.permutation(rows)[: (len(rows) + 1) // 2]] = True
    return chosen


def predicted_quantity(
    outputs: NDArray[np.float64], classes: NDArray[np.int64] | None
) -> NDArray[np.float64]:
    """[…, judged]: the log-odds of each row's class, or the number if there are no classes.

    Args:
        outputs: probabilities […, judged, classes], or numbers […, judged].
        classes: [judged], the class of each row whose log-odds are computed.
    """
    import numpy as np

    if classes is None:
        return outputs
    places = np.broadcast_to(classes[:, None], (*outputs.shape[:-1], 1))
    shares = np.take_along_axis(outputs, places, axis=-1)[..., 0].clip(TINY, 1 - TINY)
    odds: NDArray[np.float64] = np.log(shares) - np.log1p(-shares)
    return odds


def lds(
    effects: NDArray[np.float64], members: NDArray[np.bool_], observed: NDArray[np.float64]
) -> float:
    """Return the score.

    Args:
        effects: [judged, training rows].
        members: [halves, training rows], whether a half contains the row.
        observed: [halves, judged], predictions of the models trained on the halves, as of
            `predicted_quantity`.
    """
    import numpy as np

    predicted = members.astype(np.float64) @ effects.T
    return _mean(_rank_correlations(predicted, observed))


def ceiling(observed: NDArray[np.float64]) -> float:
    """Return the score of perfect effects, which is below 1 because other seeds predict otherwise.

    Args:
        observed: [halves, seeds, judged]; with a single seed the score is unknown, and 1 is
            returned.
    """
    import numpy as np

    seeds = observed.shape[1]
    pairs = [
        _mean(_rank_correlations(observed[:, a], observed[:, b]))
        for a in range(seeds)
        for b in range(a)
    ]
    agreement = max(float(np.mean(pairs)), 0.0) if pairs else 1.0
    # Spearman-Brown: the correlation between two means over this many seeds.
    return float(np.sqrt(seeds * agreement / (1 + (seeds - 1) * agreement)))


def _mean(correlations: NDArray[np.float64]) -> float:
    """Return the mean of the correlations that are defined; 0 if none is."""
    known = correlations[correlations == correlations]
    return float(known.mean()) if len(known) else 0.0


def _rank_correlations(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """[columns]: NaN for a column without variation."""
    import numpy as np
    from scipy.stats import rankdata

    a, b = (rankdata(values, axis=0) for values in (first, second))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    spread = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations: NDArray[np.float64] = (a * b).sum(axis=0) / spread
    return correlations
