"""The network for tables. Imports torch and Lightning, hence is imported only inside functions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from factory_assets.stages.models.base import FARTHEST
from factory_assets.stages.models.dropout import Dropout
from factory_assets.stages.models.learning import Learning


class MlpModule(Learning):
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
