"""The network for tables. Imports torch and Lightning, hence is imported only inside functions.

Dropout at a third of the cost. Imports torch, hence is imported only inside functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import torch
from torch import Tensor, nn
from torch.nn import functional

from factory_assets.ml.models.base import FARTHEST
from factory_assets.ml.models.networks.lightning.module import NetworkModule


class MlpModule(NetworkModule):
    """Embedded categories beside scaled numbers, then hidden layers with GELU and dropout."""

    def __init__(
        self,
        numeric: int,
        categories: Sequence[int],
        outputs: int,
        *,
        hidden: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        sizes = [min(32, (cardinality + 1) // 2) for cardinality in categories]
        self.embeddings = nn.ModuleList(map(nn.Embedding, categories, sizes))
        width, layers = numeric + sum(sizes), list[nn.Module]()
        for units in hidden:
            layers += [nn.Linear(width, units), nn.GELU(), Dropout(dropout)]
            width = units
        self.layers = nn.Sequential(*layers, nn.Linear(width, outputs))

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """[rows, outputs]: logits, or the standardised number."""
        embedded = [embed(codes[:, i]) for i, embed in enumerate(self.embeddings)]
        near = numbers.clamp(-FARTHEST, FARTHEST)
        result: Tensor = self.layers(torch.cat([near, *embedded], dim=1))
        return result


CHANCES = 65_536


class Dropout(nn.Module):
    """Leaves out a share of the numbers while training, as torch's own.

    On a CPU torch draws a float for each number, which takes more time than the layers around it:
    340 of the 1,200 µs of a step of an MLP 64-64, twice. Here each takes 16 random bits.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self._share = share
        self._left_out = round(share * CHANCES)

    def forward(self, numbers: Tensor) -> Tensor:
        """Of any shape."""
        if not (self.training and self._left_out):
            return numbers
        if numbers.device.type != "cpu":
            return functional.dropout(numbers, self._share)
        count = numbers.numel()
        draws = torch.empty(ceil(count / 4), dtype=torch.int64).random_(-(2**63), None)
        chances = draws.view(torch.int16)[:count].view(numbers.shape)
        kept = chances >= self._left_out - CHANCES // 2
        return numbers * (kept * (CHANCES / (CHANCES - self._left_out)))
