"""A network whose weights are averaged over its steps: steadier, and better, than any one of them.

Imports torch and Lightning, hence is itself imported only inside functions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from factory_assets.ml.models.networks.lightning.module import NetworkModule

STEEPEST = 1.0
"""The longest gradient that is followed as it is; a longer one is cut to this."""

MEMORY = 0.99
"""How much of the averages stays after a step."""

STATE = "factory_averages"


class Averaging(NetworkModule):
    """Learns with one set of weights, is validated and kept with the averages of it."""

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
        nn.utils.clip_grad_norm_(self.parameters(), STEEPEST)

    @torch.no_grad()
    def after_update(self) -> None:
        if not self._averages:
            self._averages = [parameter.clone() for parameter in self.parameters()]
        self._steps += 1
        # The first steps are forgotten quickly: they say least.
        memory = min(MEMORY, (1 + self._steps) / (10 + self._steps))
        for average, now in zip(self._averages, self.parameters(), strict=True):
            average.lerp_(now, 1 - memory)

    def on_validation_start(self) -> None:
        self._exchange()

    def on_validation_end(self) -> None:
        self._exchange()

    def kept_weights(self) -> dict[str, Tensor]:
        self._exchange()
        found = super().kept_weights()
        self._exchange()
        return found

    @torch.no_grad()
    def _exchange(self) -> None:
        """Put the averages in the place of the weights that learn, or back."""
        for average, parameter in zip(self._averages, self.parameters(), strict=False):
            kept = parameter.clone()
            parameter.copy_(average)
            average.copy_(kept)
