"""Several networks as one. Imports torch, hence is imported only inside functions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from factory_assets.ml.models.base import Shape


class Ensemble(nn.Module):
    """The mean of what its members say: of probabilities, or of standardised numbers."""

    def __init__(self, members: Sequence[nn.Module], *, classes: bool) -> None:
        super().__init__()
        self.members, self._classes = nn.ModuleList(members), classes

    def forward(self, *inputs: Tensor) -> Tensor:
        """As each member: [rows, outputs], logits of the mean probabilities, or the mean number."""
        said = torch.stack([member(*inputs) for member in self.members])
        return said.softmax(dim=2).mean(dim=0).log() if self._classes else said.mean(dim=0)


def ensemble(members: Sequence[nn.Module], shape: Shape) -> nn.Module:
    """A single member is itself."""
    if len(members) == 1:
        return members[0]
    return Ensemble(members, classes=shape.task != "regression")
