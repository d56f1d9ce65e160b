"""The network over pictures.

This module imports torch and Lightning, so import it only inside functions.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from factory_assets.ml.models.base import CLIP_SD, Shape
from factory_assets.ml.models.networks.lightning.batches import Batch
from factory_assets.ml.models.networks.lightning.module import NetworkModule
from factory_assets.spec.models import Cnn

MIN_SIDE = 4
"""Pixels of the shorter side below which the picture is no longer halved."""


class CnnModule(NetworkModule):
    """Convolutions, each halving the picture; the mean of the result joins the other inputs."""

    def __init__(self, shape: Shape, spec: Cnn) -> None:
        super().__init__()
        height, width, colours = cast(tuple[int, int, int], shape.picture)
        self._picture = (height, width, colours)
        self._others = shape.numbers - height * width * colours
        self._flip = spec.flip
        layers, before, side = list[nn.Module](), colours, min(height, width)
        pixels, values = height * width, list[int]()
        for units in spec.hidden:
            values.append(pixels * units)
            layers += [
                nn.Conv2d(before, units, 3, padding=1, bias=False),
                nn.BatchNorm2d(units),
                nn.GELU(),
            ]
            if side >= MIN_SIDE:
                layers.append(nn.MaxPool2d(2))
                side, pixels = side // 2, pixels // 4
            before = units
        self.convolutions = nn.Sequential(*layers)
        self.values_per_row = max(values)
        sizes = [min(32, (cardinality + 1) // 2) for cardinality in shape.cardinalities]
        self.embeddings = nn.ModuleList(map(nn.Embedding, shape.cardinalities, sizes))
        self.dropout = nn.Dropout(spec.dropout)
        self.head = nn.Linear(before + self._others + sum(sizes), shape.outputs)

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Return [rows, outputs]: logits, or the standardised number."""
        pictures = numbers[:, self._others :].reshape(-1, *self._picture).permute(0, 3, 1, 2)
        features = self.convolutions(pictures - 0.5).mean(dim=(2, 3))
        embedded = [embed(codes[:, i]) for i, embed in enumerate(self.embeddings)]
        others = numbers[:, : self._others].clamp(-CLIP_SD, CLIP_SD)
        result: Tensor = self.head(torch.cat([self.dropout(features), others, *embedded], dim=1))
        return result

    def outputs_of(self, batch: Batch) -> Tensor:
        numbers, codes = batch[0], batch[1]
        if self._flip and self.training:
            numbers = self._flipped(numbers)
        outputs: Tensor = self(numbers, codes)
        return outputs

    def _flipped(self, numbers: Tensor) -> Tensor:
        """Mirror each picture left to right with probability 0.5."""
        others, pixels = numbers[:, : self._others], numbers[:, self._others :]
        pictures = pixels.reshape(-1, *self._picture)
        mirrored = torch.rand(len(pictures), device=numbers.device) < 0.5
        pictures = torch.where(mirrored[:, None, None, None], pictures.flip(2), pictures)
        return torch.cat([others, pictures.reshape(len(pictures), -1)], dim=1)
