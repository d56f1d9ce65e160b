"""How a network learns: loss, optimiser, slices of tensors, the best epoch.

Imports torch and Lightning, hence is itself imported only inside functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Any, cast

import lightning.pytorch as pl
import torch
from torch import Tensor

from factory_assets.results.model import Epoch
from factory_assets.spec.network import Network
from factory_assets.spec.train import Task
from factory_assets.stages.models.base import Progress, Watch
from factory_resources.errors import ModelError

Batch = tuple[Tensor, Tensor, Tensor]
"""Numbers [rows, width], codes [rows, categories], target [rows], as in `Rows`; of windows: where
they end, how long they are, target, all [rows]."""
BLOCK = 32
"""Slices learned in one call of `training_step`: what Lightning adds to a call costs a slice."""


@dataclass(frozen=True)
class Plan:
    """What a network is trained with."""

    task: Task
    spec: Network
    batch_size: int
    steps: int
    """Optimiser steps if every epoch is run."""
    class_weights: Tensor | None


class Learning(pl.LightningModule):
    """The training of every network; a user's module overrides what it wants to do itself."""

    plan: Plan

    def loss(self, batch: Batch) -> Tensor:
        target = batch[2]
        outputs = self.outputs_of(batch)
        if self.plan.task == "regression":
            return torch.nn.functional.mse_loss(outputs.reshape(-1), target)
        weights = self.plan.class_weights
        weights = None if weights is None else weights.to(outputs.device)
        return torch.nn.functional.cross_entropy(outputs, target, weight=weights)

    def outputs_of(self, batch: Batch) -> Tensor:
        """[rows, outputs]: what the network says of a batch."""
        outputs: Tensor = self(batch[0], batch[1])
        return outputs

    def before_update(self) -> None:
        """Called when the gradients of a step are known."""

    def after_update(self) -> None:
        """Called when a step is done."""

    def kept_weights(self) -> dict[str, Tensor]:
        """The weights to keep, on the CPU, apart from those that learn on."""
        return {name: w.detach().cpu().clone() for name, w in self.state_dict().items()}

    def training_step(self, batch: Batch, index: int) -> Tensor:
        if self.automatic_optimization:
            return self.loss(batch)
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        schedule: Any = self.lr_schedulers()
        total = torch.zeros((), device=self.device)
        for part in sliced(batch, self.plan.batch_size):
            optimizer.zero_grad()
            loss: Any = self.loss(part)
            loss.backward()
            self.before_update()
            optimizer.step()
            self.after_update()
            schedule.step()
            total += loss.detach() * len(part[2])
        return total / len(batch[2])

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        self.before_update()

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        self.after_update()

    def validation_step(self, batch: Batch, index: int) -> None:
        self.log("validation_loss", self.loss(batch), batch_size=len(batch[2]))

    def configure_optimizers(self) -> Any:
        spec = self.plan.spec
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=spec.learning_rate, weight_decay=spec.weight_decay, fused=True
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=spec.learning_rate, total_steps=self.plan.steps
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def learns_in_blocks(self) -> bool:
        """Whether steps and optimiser are ours, so that many slices can be learned in one call."""
        own = type(self)
        return (
            own.training_step is Learning.training_step
            and own.configure_optimizers is Learning.configure_optimizers
        )


class Slices:
    """Slices of tensors as they are."""

    def __init__(self, tensors: Batch, size: int) -> None:
        self._tensors, self._size = tensors, size

    def __len__(self) -> int:
        return ceil(len(self._tensors[2]) / self._size)

    def __iter__(self) -> Iterator[Batch]:
        yield from sliced(self._tensors, self._size)


class Shuffled(Slices):
    """Slices in an order by chance: the same for the same seed, another one every epoch."""

    def __init__(self, tensors: Batch, size: int, seed: int, rank: int = 0, ranks: int = 1) -> None:
        """
        Args:
            rank: which of `ranks` processes reads its share here; each reads as many rows.
        """
        super().__init__(tensors, size)
        self._rank, self._ranks = rank, ranks
        self._generator = torch.Generator().manual_seed(seed)
        self._before = self._generator.get_state()
        """Of the epoch that is under way, the chance that its order came from."""
        self._taken = 0

    def __iter__(self) -> Iterator[Batch]:
        first, second, target = self._tensors
        self._before, before = self._generator.get_state(), self._taken % len(self)
        for number, places in enumerate(self._places()):
            if number >= before:
                self._taken = number + 1
                yield first[places], second[places], target[places]

    def _places(self) -> Iterator[Tensor]:
        """The rows of each slice of an epoch."""
        order = torch.randperm(len(self._tensors[2]), generator=self._generator)
        yield from torch.split(self._share(order), self._size)

    def __len__(self) -> int:
        return ceil(len(self._tensors[2]) / self._ranks / self._size)

    def _share(self, order: Tensor) -> Tensor:
        # Where they do not add up, some rows are read by two: all must do the same steps.
        more = -len(order) % self._ranks
        return torch.cat([order, order[:more]])[self._rank :: self._ranks]

    @property
    def place(self) -> tuple[Tensor, int]:
        """How far it was read: the chance of the epoch, and how many of its slices are taken."""
        amid = self._taken < len(self)
        return self._before if amid else self._generator.get_state(), self._taken

    def go_to(self, place: tuple[Tensor, int]) -> None:
        """Go on from where another was read to."""
        generator, self._taken = place
        self._generator.set_state(generator)


def sliced(tensors: Any, size: int) -> Iterator[Any]:
    """Views of `size` rows of every tensor at once; the last may be shorter."""
    yield from zip(*(tensor.split(size) for tensor in tensors), strict=True)


class KeepBest(pl.Callback):
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
            self.weights = cast(Learning, module).kept_weights()
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
