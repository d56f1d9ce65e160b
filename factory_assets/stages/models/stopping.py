"""A network stops when its budget is spent. Imports Lightning, hence only inside functions."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl

from factory_assets.stages.models.base import Progress, Setting
from factory_assets.stages.models.budget import Share


class StopAtBudget(pl.Callback):
    """Ends the epoch where it is: what was learned of it is validated, and kept if it is best."""

    def __init__(self, share: Share, progress: Progress) -> None:
        self._share, self._progress, self._over = share, progress, False

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if not self._over and self._share.over(trainer.fit_loop.total_batch_idx + 1):
            self._over = trainer.should_stop = True
            self._progress("the budget is spent: the best epoch so far is kept")

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # Whoever decides on patience has just said that it may go on.
        trainer.should_stop = trainer.should_stop or self._over


def at_budget(setting: Setting) -> list[pl.Callback]:
    """To stand behind who decides on patience; none where there is no budget."""
    return [StopAtBudget(setting.budget, setting.progress)] if setting.budget else []
