"""Callbacks of a training: keep the best epoch, stop at the budget.

Imports Lightning, hence imported only inside functions.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, cast

import lightning.pytorch as pl
import torch
from torch import Tensor

from factory_assets.ml.models.base import FitContext, Progress, Watch
from factory_assets.ml.models.budget import Share
from factory_assets.results.model import Epoch
from factory_resources.errors import ModelError

if TYPE_CHECKING:
    from factory_assets.ml.models.networks.lightning.module import NetworkModule


class BestEpochCallback(pl.Callback):
    """The losses of every epoch, the weights of the best, and the end when none gets better."""

    def __init__(self, patience: int, progress: Progress, watch: Watch | None = None) -> None:
        self._patience, self._progress, self._watch = patience, progress, watch
        self._total, self._rows = torch.zeros(()), 0
        self._best = float("inf")
        self.best_epoch = 0
        self.weights: dict[str, Tensor] = {}
        self.history: list[Epoch] = []
        self.halved = False
        """Whether its batches were half as large as declared."""
        self.done = False
        """Whether all epochs lie behind, because a checkpoint says so."""

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        trainer.should_stop = self._is_over

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if loss is not None:
            self._total = self._total.to(loss.device) + loss.detach() * len(batch[2])
            self._rows += len(batch[2])

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        found = trainer.callback_metrics.get("validation_loss")
        if found is None:
            raise ModelError(
                "the module's validation_step logs no validation_loss",
                remedy='call self.log("validation_loss", loss) in it, or leave it out',
            )
        learned = self._total / max(self._rows, 1)
        if trainer.world_size > 1:
            # All must come to the same end.
            learned, found = (
                trainer.strategy.reduce(loss.to(module.device), reduce_op="mean")
                for loss in (learned, found)
            )
        losses = float(learned), float(found)
        self._total, self._rows = torch.zeros(()), 0
        if not all(map(isfinite, losses)):
            raise ModelError(
                f"the loss is no longer a number in epoch {len(self.history)}",
                remedy="lower train.model.learning_rate, or bound extreme values in clean.derive",
            )
        epoch = Epoch(epoch=len(self.history), train_loss=losses[0], validation_loss=losses[1])
        self.history.append(epoch)
        if epoch.validation_loss < self._best:
            self._best, self.best_epoch = epoch.validation_loss, epoch.epoch
            self.weights = cast("NetworkModule", module).kept_weights()
        self._progress(
            f"epoch {epoch.epoch + 1}/{trainer.max_epochs}, "
            f"validation loss {epoch.validation_loss:.4g} (best {self._best:.4g})"
        )
        if self._watch:
            self._watch(epoch)
        trainer.should_stop = self._is_over

    @property
    def _is_over(self) -> bool:
        return len(self.history) - 1 - self.best_epoch >= self._patience

    def state_dict(self) -> dict[str, Any]:
        return {
            "total": self._total,
            "rows": self._rows,
            "best": self._best,
            "best_epoch": self.best_epoch,
            "weights": self.weights,
            "history": [epoch.model_dump() for epoch in self.history],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._total, self._rows = state_dict["total"], state_dict["rows"]
        self._best, self.best_epoch = state_dict["best"], state_dict["best_epoch"]
        self.weights = state_dict["weights"]
        self.history = [Epoch.model_validate(epoch) for epoch in state_dict["history"]]


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


def at_budget(setting: FitContext) -> list[pl.Callback]:
    """To stand behind who decides on patience; none where there is no budget."""
    return [StopAtBudget(setting.budget, setting.progress)] if setting.budget else []
