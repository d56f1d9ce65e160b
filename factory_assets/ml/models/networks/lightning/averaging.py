"""Networks that average their weights over the training steps, which is steadier and more accurate.

This module imports torch and Lightning, so import it only inside functions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from factory_assets.ml.models.networks.lightning.module import NetworkModule

MAX_GRADIENT_NORM = 1.0
"""The largest gradient norm; longer gradients are clipped to it."""

DECAY = 0.99
"""The decay of the moving averages: the share that remains after a step."""

STATE = "factory_averages"


class AveragedNetworkModule(NetworkModule):
    """Trains one set of weights; validates and stores their moving averages."""

    def __init__(self) -> None:
        super().__init__()
        self._averages: list[Tensor] = []
        self._steps = 0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[STATE] = {"averages": self._averages, "steps": self._steps}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._averages = checkpoint[STATE]["averages"]
        self._steps = checkpoint[STATE]["steps"]

    def on_train_start(self) -> None:
        self._averages = [average.to(self.device) for average in self._averages]

    def before_update(self) -> None:
        nn.utils.clip_grad_norm_(self.parameters(), MAX_GRADIENT_NORM)

    @torch.no_grad()
    def after_update(self) -> None:
        if not self._averages:
            self._averages = [parameter.clone() for parameter in self.parameters()]
        self._steps += 1
        # The first steps are the least accurate, so they decay faster.
        decay = min(DECAY, (1 + self._steps) / (10 + self._steps))
        for average, current in zip(self._averages, self.parameters(), strict=True):
            average.lerp_(current, 1 - decay)

    def on_validation_start(self) -> None:
        self._swap()

    def on_validation_end(self) -> None:
        self._swap()

    def kept_weights(self) -> dict[str, Tensor]:
        self._swap()
        weights = super().kept_weights()
        self._swap()
        return weights

    @torch.no_grad()
    def _swap(self) -> None:
        """Exchange the averages with the trained weights; a second call undoes the first."""
        for average, parameter in zip(self._averages, self.parameters(), strict=False):
            trained = parameter.clone()
            parameter.copy_(average)
            average.copy_(trained)
