"""The LightningModule of every network: loss, optimiser, learning-rate schedule, training step.

Running a training belongs in `trainer.py`. This module imports torch and Lightning, so import it
only inside functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from factory_assets.ml.models.networks.lightning.batches import Batch, sliced
from factory_assets.spec.models import Network
from factory_assets.spec.train import Task


@dataclass(frozen=True)
class TrainingPlan:
    """The settings of a network's training."""

    task: Task
    spec: Network
    batch_size: int
    steps: int
    """Optimiser steps if no epoch is skipped by early stopping."""
    class_weights: Tensor | None


WARM_UP, DECAY = 0.02, 0.2
"""Shares of the steps in which a trapezoidal schedule rises, and falls to zero."""


def learning_rate_schedule(
    optimizer: torch.optim.Optimizer, spec: Network, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    """Return the declared schedule of the step size.

    A constant rate that falls at the end learns as much as a cosine in the same steps (Hägele et
    al. 2024, "Scaling laws and compute-optimal training beyond fixed training durations"); over few
    epochs it learns more than one cycle, whose rate is small in most steps.
    """
    if spec.schedule == "one_cycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=spec.learning_rate, total_steps=steps
        )

    def share(step: int) -> float:
        return max(0.0, min(1.0, (step + 1) / (WARM_UP * steps), (steps - step) / (DECAY * steps)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, share)


class NetworkModule(pl.LightningModule):
    """Trains every network; a user's module may override any method."""

    plan: TrainingPlan

    values_per_row: int = 1
    """About how many values the largest layer has for one row."""

    def fit_inputs(self, rows: Batch) -> None:
        """Called with the training rows before the first step, to set what depends on them all."""

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss of the network's outputs for a batch."""
        return self.loss_of(self.outputs_of(batch), batch[2])

    def loss_of(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared error of outputs, or their class-weighted cross entropy."""
        if self.plan.task == "regression":
            return torch.nn.functional.mse_loss(outputs.reshape(-1), target)
        weights = self.plan.class_weights
        weights = None if weights is None else weights.to(outputs.device)
        return torch.nn.functional.cross_entropy(outputs, target, weight=weights)

    def outputs_of(self, batch: Batch) -> Tensor:
        """Return the network's outputs for a batch, [rows, outputs]."""
        outputs: Tensor = self(batch[0], batch[1])
        return outputs

    def before_update(self) -> None:
        """Called when the gradients of a step are computed."""

    def after_update(self) -> None:
        """Called after the optimiser step."""

    def kept_weights(self) -> dict[str, Tensor]:
        """Return a copy of the weights to store, on the CPU; training does not change it."""
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
        schedule = learning_rate_schedule(optimizer, spec, self.plan.steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def learns_in_blocks(self) -> bool:
        """Whether step and optimiser are the factory's, so that one call can train many batches."""
        module_class = type(self)
        return (
            module_class.training_step is NetworkModule.training_step
            and module_class.configure_optimizers is NetworkModule.configure_optimizers
        )
