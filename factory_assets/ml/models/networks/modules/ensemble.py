"""Several networks as one.

This module imports torch, so import it only inside functions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from factory_assets.ml.models.base import Shape
from factory_assets.ml.models.networks.lightning.module import NetworkModule


class Ensemble(nn.Module):
    """The mean of its members' probabilities, or of their standardised numbers."""

    def __init__(self, members: Sequence[NetworkModule], *, classes: bool) -> None:
        super().__init__()
        self.members, self._classes = nn.ModuleList(members), classes
        # The members compute one after the other, and are alike.
        self.values_per_row = members[0].values_per_row

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return [rows, outputs]: logits of the mean probabilities, or the mean number."""
        outputs = torch.stack([member(*inputs) for member in self.members])
        return outputs.softmax(dim=2).mean(dim=0).log() if self._classes else outputs.mean(dim=0)


def ensemble(members: Sequence[NetworkModule], shape: Shape) -> NetworkModule | Ensemble:
    """Return the ensemble of the members; of a single member, the member itself."""
    if len(members) == 1:
        return members[0]
    return Ensemble(members, classes=shape.task != "regression")
