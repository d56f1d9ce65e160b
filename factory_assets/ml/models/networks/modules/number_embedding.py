"""Numbers as a network reads them: scaled robustly, and embedded piece by piece.

This module imports torch, so import it only inside functions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from factory_assets.ml.models.base import CLIP_SD

SAMPLE_ROWS = 65_536
"""Rows from which scales and bins are computed; of more rows, an evenly spread sample."""

SAMPLE_BLOCK = 512
"""Adjacent rows of a sample: reading a mapped file row by row would touch all of its pages."""

SOFT_LIMIT = 3.0
"""The limit that a scaled number approaches, however large it is."""

MIN_RANGE = 1e-6
"""The smallest interquartile range, in standard deviations, by which numbers are scaled; with a
smaller one nearly all rows have the same value, and the whole range counts."""


class NumberEmbedding(nn.Module):
    """Returns each number twice: scaled, and embedded by linear functions that bend at quantiles.

    It is scaled to zero median and an interquartile range of 1, and softly limited by
    x / sqrt(1 + (x / 3)^2) (Holzmüller et al. 2024, "Better by default"). The embedding is the
    product of learned weights and the shares of its bins that lie below the number (piecewise
    linear encoding, Gorishniy et al. 2022, "On embeddings for numerical features").
    """

    def __init__(self, numeric: int, *, bins: int, width: int) -> None:
        """
        Args:
            bins: the largest number of bins of a number; each holds as many training rows.
            width: the length of the embedding of one number.
        """
        super().__init__()
        self.register_buffer("center", torch.zeros(numeric))
        self.register_buffer("scale", torch.ones(numeric))
        self.register_buffer("starts", torch.zeros(numeric, bins))
        self.register_buffer("inverse_lengths", torch.zeros(numeric, bins))
        # Training begins with the scaled numbers alone.
        self.bends = nn.Parameter(torch.zeros(numeric, bins, width))
        self.outputs = numeric * (1 + width)

    center: Tensor
    scale: Tensor
    starts: Tensor
    inverse_lengths: Tensor

    @torch.no_grad()
    def fit(self, numbers: Tensor) -> None:
        """Set scales and bins by the training rows.

        Args:
            numbers: [rows, numeric], standardised.
        """
        bins = self.starts.shape[1]
        for i, column in enumerate(_sample(numbers).clamp(-CLIP_SD, CLIP_SD).double().T):
            low, center, high = torch.quantile(column, _shares(4)[1:4])
            unit = high - low if high - low > MIN_RANGE else (column.max() - column.min()) / 2
            self.center[i], self.scale[i] = center, 1 / unit if unit else 0
            edges: Tensor = torch.unique(torch.quantile(column, _shares(bins)).float())
            count = len(edges) - 1
            self.starts[i, :count] = edges[:-1]
            self.inverse_lengths[i, :count] = 1 / edges.diff()

    def forward(self, numbers: Tensor) -> Tensor:
        """Return [rows, outputs] for standardised numbers [rows, numeric]."""
        clipped = numbers.clamp(-CLIP_SD, CLIP_SD)
        scaled = (clipped - self.center) * self.scale
        limited = scaled / (1 + (scaled / SOFT_LIMIT).square()).sqrt()
        shares = ((clipped.unsqueeze(2) - self.starts) * self.inverse_lengths).clamp(0, 1)
        bent = torch.bmm(shares.transpose(0, 1), self.bends).transpose(0, 1)
        return torch.cat([limited, bent.flatten(1)], dim=1)


def _shares(parts: int) -> Tensor:
    """Return the bounds of equal parts of 1, [parts + 1]."""
    return torch.linspace(0, 1, parts + 1, dtype=torch.float64)


def _sample(numbers: Tensor) -> Tensor:
    if len(numbers) <= SAMPLE_ROWS:
        return numbers
    last, blocks = len(numbers) - SAMPLE_BLOCK, SAMPLE_ROWS // SAMPLE_BLOCK
    starts = (i * last // (blocks - 1) for i in range(blocks))
    return torch.cat([numbers[start : start + SAMPLE_BLOCK] for start in starts])
