"""End a trial of a search that is worse than half of the others, or takes too long.

What the others reached comes from the study; running a trial belongs in `trials`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from math import inf, isfinite

from factory_assets.ml.models.base import TrialPruned
from factory_assets.results.training import Epoch


class TrialWatch:
    """Note the losses of a trial; end it if it is hopeless or takes too long.

    Args:
        medians: the median loss of the other trials after each step.
        prune: whether a trial ends whose losses are above the median.
        seconds: after how long it ends; None for no limit.
    """

    def __init__(self, medians: Mapping[int, float], *, prune: bool, seconds: float | None) -> None:
        self._medians, self._prune = medians, prune
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self.epochs = 0
        self.losses: dict[int, float] = {}
        """Step to the loss after it."""

    def after_epoch(self, epoch: Epoch) -> None:
        """Count an epoch of a network.

        Raises:
            TrialPruned: the trial ends.
        """
        self.epochs += 1
        self._require_time()

    def after_fold(self, value: float | None) -> None:
        """End an inner fold.

        Args:
            value: the metric on the rows of all folds so far; None if it is not defined there.

        Raises:
            TrialPruned: the trial ends.
        """
        self._require_time()

    def _require_better(self, loss: float, step: int, what: str) -> None:
        if self._prune and loss > self._medians.get(step, inf):
            raise TrialPruned(f"after {what}, half of the other trials were better")

    def _require_time(self) -> None:
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise TrialPruned("the time for the search ran out")


class EpochWatch(TrialWatch):
    """Compares the best loss of a network so far, epoch by epoch."""

    def after_epoch(self, epoch: Epoch) -> None:
        super().after_epoch(epoch)
        self.losses.setdefault(epoch.epoch, epoch.validation_loss)
        best = min(self.losses.values())
        self._require_better(best, epoch.epoch, f"{self.epochs} epochs")


class FoldWatch(TrialWatch):
    """Compares the metric on the rows of all inner folds so far, fold by fold.

    Args:
        maximise: whether a higher metric is better.
    """

    def __init__(
        self,
        medians: Mapping[int, float],
        *,
        prune: bool,
        seconds: float | None,
        maximise: bool,
    ) -> None:
        super().__init__(medians, prune=prune, seconds=seconds)
        self._maximise, self._folds = maximise, 0

    def after_fold(self, value: float | None) -> None:
        self._folds += 1
        if value is not None and isfinite(value):
            loss = -value if self._maximise else value
            self.losses[self._folds] = loss
            self._require_better(loss, self._folds, f"{self._folds} inner folds")
        super().after_fold(value)
