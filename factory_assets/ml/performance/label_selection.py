"""Whether the labelled rows of a window stand for all: how outputs of the others differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


NOTABLE_DISTANCE, NOTABLE_CHANCE = 0.1, 0.01
"""Labelled rows are called a selection if the distributions of outputs are further apart than
this, and chance would part them so far less often than this."""


@dataclass(frozen=True)
class LabelSelection:
    """How the rows that have labels differ from those that have none, by the model's outputs."""

    distance: float
    """The largest difference between the two distributions of an output, 0 … 1."""
    chance: float
    """The probability of such a distance, or a larger one, if labels were missing at random."""

    @property
    def caveat(self) -> str:
        """What the selection means for the metrics; empty if nothing speaks for one."""
        if self.distance < NOTABLE_DISTANCE or self.chance > NOTABLE_CHANCE:
            return ""
        return (
            "labels are not missing at random: outputs of labelled and unlabelled rows are "
            f"distributed differently (distance {self.distance:.2f}), so these metrics describe "
            "the labelled rows only"
        )


def label_selection(labelled: NDArray[Any], unlabelled: NDArray[Any]) -> LabelSelection | None:
    """Compare the outputs of labelled and unlabelled rows (Kolmogorov-Smirnov).

    Of several classes the one that differs most counts; its probability is multiplied by the
    number of classes (Bonferroni).

    Args:
        labelled: [rows, classes] or [rows], as `unlabelled`.

    Returns:
        None unless there are rows of both kinds.
    """
    from scipy.stats import ks_2samp

    if not len(labelled) or not len(unlabelled):
        return None
    pairs = [(labelled, unlabelled)]
    if labelled.ndim == 2:
        # The probabilities of two classes say the same.
        first = 1 if labelled.shape[1] == 2 else 0
        pairs = list(zip(labelled.T[first:], unlabelled.T[first:], strict=True))
    tests = [ks_2samp(*pair, method="asymp") for pair in pairs]
    furthest = max(tests, key=lambda test: test.statistic)
    chance = min(1.0, len(pairs) * float(furthest.pvalue))
    return LabelSelection(float(furthest.statistic), chance)
