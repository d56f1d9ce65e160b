"""The network for tables, with a dropout layer that is fast on a CPU.

This module imports torch and Lightning, so import it only inside functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from factory_assets.ml.models.base import CLIP_SD
from factory_assets.ml.models.networks.lightning.module import NetworkModule


class MlpModule(NetworkModule):
    """Embedded categories and scaled numbers, then hidden layers with dropout."""

    def __init__(
        self,
        numeric: int,
        categories: Sequence[int],
        outputs: int,
        *,
        hidden: Sequence[int],
        dropout: float,
        activation: Literal["relu", "gelu"],
    ) -> None:
        super().__init__()
        function = {"relu": nn.ReLU, "gelu": nn.GELU}[activation]
        sizes = [min(32, (cardinality + 1) // 2) for cardinality in categories]
        self.embeddings = nn.ModuleList(map(nn.Embedding, categories, sizes))
        width, layers = numeric + sum(sizes), list[nn.Module]()
        for units in hidden:
            layers += [nn.Linear(width, units), function(), Dropout(dropout)]
            width = units
        self.layers = nn.Sequential(*layers, nn.Linear(width, outputs))
        self.values_per_row = max(numeric, 1, *hidden)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Return [rows, outputs]: logits, or the standardised number."""
        embedded = [embed(codes[:, i]) for i, embed in enumerate(self.embeddings)]
        clipped = numbers.clamp(-CLIP_SD, CLIP_SD)
        result: Tensor = self.layers(torch.cat([clipped, *embedded], dim=1))
        return result


RANDOM_VALUES = 65_536
"""Number of values of the 16 random bits that decide on one element."""


class Dropout(nn.Module):
    """Zeroes a share of the elements in training, like `torch.nn.Dropout`, at a third of its cost.

    On a CPU torch draws a float for each element, which takes longer than the layers around it: 340
    of the 1,200 µs of a step of an MLP 64-64, twice. Here each element takes 16 random bits.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self._share = share
        self._dropped = round(share * RANDOM_VALUES)

    def forward(self, numbers: Tensor) -> Tensor:
        """Return a tensor of the same shape, which may be any."""
        if not (self.training and self._dropped):
            return numbers
        if numbers.device.type != "cpu":
            return functional.dropout(numbers, self._share)
        count = numbers.numel()
        draws = torch.empty(ceil(count / 4), dtype=torch.int64).random_(-(2**63), None)
        chances = draws.view(torch.int16)[:count].view(numbers.shape)
        kept = chances >= self._dropped - RANDOM_VALUES // 2
        return numbers * (kept * (RANDOM_VALUES / (RANDOM_VALUES - self._dropped)))
