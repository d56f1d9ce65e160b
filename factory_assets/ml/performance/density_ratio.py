"""How many times more frequent each reference row is in a window: weights for a covariate shift.

A classifier tells the rows of the window from those of the reference by inputs and outputs. What
is computed with the weights belongs in the modules that estimate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


FOLDS = 3

SURE = 0.98
"""The highest probability of being from the window that is believed: weights are at most 49."""


@dataclass(frozen=True)
class DensityRatio:
    """The weights of reference rows that make them resemble a window."""

    weights: NDArray[np.float64]
    """[reference rows], with mean 1."""
    overlap: float
    """The share of the window that lies where there are reference rows, about: 1 if all of it."""

    @property
    def effective_rows(self) -> float:
        """The number of equally weighted rows with the same precision of a mean (Kish 1965)."""
        return float(self.weights.sum() ** 2 / (self.weights**2).sum())


def density_ratio(
    reference: NDArray[np.float32], window: NDArray[np.float32], seed: int
) -> DensityRatio:
    """Estimate the weights with a classifier whose probabilities are all of rows it did not see.

    Source: Bickel, Brückner and Scheffer (2009), Discriminative learning under covariate shift,
    JMLR 10.

    Args:
        reference: [rows, columns], NaN if missing.
        window: [rows of the window, columns].
    """
    import numpy as np

    rows = np.concatenate([reference, window])
    in_window = np.arange(len(rows)) >= len(reference)
    scores = _cross_fitted_scores(rows, in_window, seed)
    ratio = _calibrated_ratio(scores, in_window)[: len(reference)]
    overlap = float(ratio.mean())
    return DensityRatio(ratio / overlap, overlap)


def _cross_fitted_scores(
    rows: NDArray[np.float32], in_window: NDArray[np.bool_], seed: int
) -> NDArray[np.float64]:
    """Return the log odds of being from the window, [rows], by a classifier of the other folds."""
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier

    generator = np.random.default_rng(seed)
    folds = np.empty(len(rows), dtype=np.int64)
    for side in (in_window, ~in_window):
        folds[side] = generator.permutation(int(side.sum())) % FOLDS
    scores = np.zeros(len(rows))
    for fold in range(FOLDS):
        learned = folds != fold
        if not in_window[learned].any():
            continue
        classifier = HistGradientBoostingClassifier(
            max_iter=30,
            learning_rate=0.2,
            max_leaf_nodes=8,
            min_samples_leaf=20,
            l2_regularization=1.0,
            early_stopping=False,
            max_bins=63,
            random_state=seed,
        )
        classifier.fit(rows[learned], in_window[learned])
        scores[~learned] = classifier.decision_function(rows[~learned])
    return scores


def _calibrated_ratio(
    scores: NDArray[np.float64], in_window: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Turn scores into ratios of densities; scores that tell nothing become ratios of 1."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    if scores.min() == scores.max():
        return np.ones(len(scores))
    odds = LogisticRegression(class_weight="balanced").fit(scores[:, None], in_window)
    if odds.coef_[0, 0] <= 0:
        return np.ones(len(scores))
    chance: NDArray[Any] = odds.predict_proba(scores[:, None])[:, 1].clip(1 - SURE, SURE)
    ratio: NDArray[np.float64] = chance / (1 - chance)
    return ratio
