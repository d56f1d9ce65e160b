"""Comparison of two versions while they answer: look as often as you like, stop when it is clear.

Every comparison is a small value: an update returns the next one, and it can be stored as JSON.
The bets behind it belong in `betting.py`; what follows from a verdict belongs to who rolls out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from factory_assets.ml.performance.betting import MeanEvidence
from factory_resources.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


Verdict: TypeAlias = Literal["worse", "no worse", "undecided"]


@dataclass(frozen=True)
class Comparison:
    """How much larger the mean loss of the new version is than that of the champion.

    Losses are numbers from 0 to 1, smaller is better. The guarantee needs no distribution: only
    that, at any time and given the past, the difference of the two means is on one side of the
    margin. Times that are bad for both versions do no harm.
    """

    evidence: MeanEvidence

    @classmethod
    def begin(cls, margin: float) -> Self:
        """Return a comparison without data.

        Args:
            margin: how much worse the new version may be, above -1 and below 1; if it is below 0,
                "no worse" means better by at least that much.

        Raises:
            DataError: for another margin.
        """
        if not -1 < margin < 1:
            raise DataError(
                f"the margin {margin!r} is not a difference of losses from 0 to 1",
                remedy="choose a margin above -1 and below 1, such as 0.01",
            )
        return cls(MeanEvidence(float(margin)))

    @property
    def margin(self) -> float:
        return self.evidence.boundary

    @property
    def compared(self) -> int:
        """The number of differences that were compared."""
        return self.evidence.rows

    def verdict(self, alpha: float) -> Verdict:
        """Judge what was seen so far.

        Over all looks together, "worse" is said with probability at most `alpha` if the new
        version is worse by no more than the margin, and "no worse" with probability at most
        `alpha` if it is worse by the margin or more.

        Raises:
            DataError: unless `alpha` is above 0 and below 1.
        """
        enough = -log(_probability(alpha))
        if self.evidence.log_above() >= enough:
            return "worse"
        return "no worse" if self.evidence.log_below() >= enough else "undecided"

    def difference(self, alpha: float) -> tuple[float, float]:
        """Return an interval of the difference of the mean losses, valid at all looks together.

        It assumes that the difference is the same at all times.

        Raises:
            DataError: unless `alpha` is above 0 and below 1.
        """
        return self.evidence.interval(_probability(alpha))

    def _with(self, differences: NDArray[np.float64]) -> Self:
        return replace(self, evidence=self.evidence.update(differences))


@dataclass(frozen=True)
class PairedComparison(Comparison):
    """Losses of both versions on the same rows, such as those of a shadow, or of labelled rows."""

    def update(self, new: NDArray[Any], champion: NDArray[Any]) -> Self:
        """Add rows: the losses of both versions, [rows] each, from 0 to 1.

        Raises:
            DataError: a loss is missing or outside 0 … 1, or the numbers of rows differ.
        """
        ours, theirs = _losses(new), _losses(champion)
        if len(ours) != len(theirs):
            raise DataError(
                f"{len(ours)} losses of the new version do not pair with {len(theirs)}",
                remedy="pass the losses of both versions on the same rows",
            )
        return self._with(ours - theirs)


@dataclass(frozen=True)
class IndependentComparison(Comparison):
    """Losses of two versions that answer different callers.

    Only answers of one batch are compared with each other, so a batch should cover one span of
    time. If a batch has more answers of one version than of the other, each of the fewer is
    compared with the mean of several.
    """

    def update(self, new: NDArray[Any], champion: NDArray[Any]) -> Self:
        """Add a batch: losses from 0 to 1, [rows of each version], in order of time.

        A batch in which a version has no rows changes nothing.

        Raises:
            DataError: a loss is missing or outside 0 … 1.
        """
        return self._with(_unpaired(_losses(new), _losses(champion)))


@dataclass(frozen=True)
class RateComparison(Comparison):
    """How often two versions that answer different callers fail, or answer too slowly.

    Batches are as those of `IndependentComparison`, with counts in place of losses.
    """

    def update(self, new: tuple[int, int], champion: tuple[int, int]) -> Self:
        """Add a batch: of each version the number of failures and the number of answers.

        A batch in which a version has no answers changes nothing.

        Raises:
            DataError: more failures than answers, or a negative number.
        """
        import numpy as np

        _require_counts(*new)
        _require_counts(*champion)
        # The order within a batch is unknown: one that is drawn without looking at the failures
        # is as good as the true one, and an even spread would not be.
        generator = np.random.default_rng([self.compared, new[1], champion[1]])
        ours, theirs = _failures(new, generator), _failures(champion, generator)
        return self._with(_unpaired(ours, theirs))


def _unpaired(new: NDArray[np.float64], champion: NDArray[np.float64]) -> NDArray[np.float64]:
    pairs = min(len(new), len(champion))
    return _block_means(new, pairs) - _block_means(champion, pairs)


def _block_means(values: NDArray[np.float64], blocks: int) -> NDArray[np.float64]:
    """Return the means of consecutive blocks of nearly equal size, [blocks]."""
    import numpy as np

    if not blocks:
        return np.empty(0)
    edges = np.linspace(0, len(values), blocks + 1).astype(np.int64)
    means: NDArray[np.float64] = np.add.reduceat(values, edges[:-1]) / np.diff(edges)
    # Sums of many numbers may leave the range by rounding.
    return means.clip(0, 1)


def _require_counts(failed: int, answers: int) -> None:
    if not 0 <= failed <= answers:
        raise DataError(
            f"there cannot be {failed} failures of {answers} answers",
            remedy="pass the number of failures, then the number of all answers",
        )


def _failures(counts: tuple[int, int], generator: np.random.Generator) -> NDArray[np.float64]:
    import numpy as np

    failed, answers = counts
    losses = np.zeros(answers)
    losses[:failed] = 1
    return generator.permutation(losses)


def _losses(values: NDArray[Any]) -> NDArray[np.float64]:
    import numpy as np

    losses = np.asarray(values, dtype=np.float64)
    if not ((losses >= 0) & (losses <= 1)).all():
        raise DataError(
            "a loss is missing or outside 0 … 1",
            remedy="divide losses by their largest possible value, and leave out missing ones",
        )
    return losses


def _probability(alpha: float) -> float:
    if not 0 < alpha < 1:
        raise DataError(
            f"alpha is {alpha!r}, not a probability",
            remedy="choose an alpha above 0 and below 1, such as 0.05",
        )
    return alpha
