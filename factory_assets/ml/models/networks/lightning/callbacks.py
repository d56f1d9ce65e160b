"""Lightning callbacks: remember the best epoch, stop early, stop at the budget.

Checkpoints belong in `checkpoint.py`. This module imports Lightning, so import it only inside
functions.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, cast

import lightning.pytorch as pl
import torch
from torch import Tensor

from factory_assets.ml.models.base import EpochCallback, FitContext
from factory_assets.ml.models.budget import Share
from factory_assets.results.training import Epoch
from factory_resources.errors import ModelError
from factory_resources.progress import Progress

if TYPE_CHECKING:
    from factory_assets.ml.models.networks.lightning.module import NetworkModule


class BestEpochCallback(pl.Callback):
    """Early stopping; records the losses of every epoch and the weights of the best.

    Args:
        rounds: stop after so many epochs and take the weights of the last; None if `patience` and
            the validation loss decide.
    """

    def __init__(
        self,
        patience: int,
        progress: Progress,
        watch: EpochCallback | None = None,
        *,
        rounds: int | None = None,
    ) -> None:
        self._epochs = rounds
        self._patience, self._progress, self._watch = patience, progress, watch
        self._total, self._rows = torch.zeros(()), 0
        self._best = float("inf")
        self.best_epoch = 0
        self.weights: dict[str, Tensor] = {}
        self.history: list[Epoch] = []
        self.halved = False
        """Whether batches were half as large as declared, for lack of memory."""
        self.done = False
        """Whether the restored checkpoint is that of a finished training."""

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        trainer.should_stop = self._out_of_patience

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
        validation_loss = trainer.callback_metrics.get("validation_loss")
        if validation_loss is None:
            raise ModelError(
                "the module's validation_step does not log validation_loss",
                remedy='call self.log("validation_loss", loss) in it, or do not override it',
            )
        train_loss = self._total / max(self._rows, 1)
        if trainer.world_size > 1:
            # All processes must stop at the same epoch.
            train_loss, validation_loss = (
                trainer.strategy.reduce(loss.to(module.device), reduce_op="mean")
                for loss in (train_loss, validation_loss)
            )
        losses = float(train_loss), float(validation_loss)
        self._total, self._rows = torch.zeros(()), 0
        if not all(map(isfinite, losses)):
            raise ModelError(
                f"the loss became NaN or infinite in epoch {len(self.history)}",
                remedy="lower train.model.learning_rate, or limit extreme values in clean.derive",
            )
        epoch = Epoch(epoch=len(self.history), train_loss=losses[0], validation_loss=losses[1])
        self.history.append(epoch)
        if self._epochs is not None or epoch.validation_loss < self._best:
            self._best, self.best_epoch = epoch.validation_loss, epoch.epoch
            self.weights = cast("NetworkModule", module).kept_weights()
        self._progress(self._describe(epoch, trainer.max_epochs))
        if self._watch:
            self._watch(epoch)
        trainer.should_stop = self._out_of_patience

    def _describe(self, epoch: Epoch, most: int | None) -> str:
        if self._epochs is not None:
            return f"epoch {epoch.epoch + 1}/{self._epochs}"
        return (
            f"epoch {epoch.epoch + 1}/{most}, "
            f"validation loss {epoch.validation_loss:.4g} (best {self._best:.4g})"
        )

    @property
    def _out_of_patience(self) -> bool:
        if self._epochs is not None:
            return len(self.history) >= self._epochs
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
    """Ends the epoch when the budget is spent; the partial epoch is validated like any other."""

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
            self._progress("the budget is spent: keeping the best epoch so far")

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # `BestEpochCallback` has just reset the flag.
        trainer.should_stop = trainer.should_stop or self._over


def budget_callbacks(context: FitContext) -> list[pl.Callback]:
    """Return the callback of the budget, to be placed after `BestEpochCallback`; or none."""
    return [StopAtBudget(context.budget, context.progress)] if context.budget else []
