"""A TabM as one writes it in PyTorch: a copy of the inputs for each member.

The network that the factory trains belongs in `factory_assets`. This module imports torch.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class PlainTabm(nn.Module):
    """The same architecture and the same number of weights as the factory's `tabm`."""

    def __init__(
        self,
        numbers: Tensor,
        *,
        hidden: Sequence[int],
        members: int,
        bins: int,
        embedding: int,
        outputs: int,
        dropout: float,
    ) -> None:
        """
        Args:
            numbers: [rows, width], the training rows, from which bins and scales are computed.
        """
        super().__init__()
        width = numbers.shape[1]
        edges = torch.quantile(numbers[:100_000], torch.linspace(0, 1, bins + 1), dim=0).T
        self.register_buffer("edges", edges)
        self.register_buffer("center", numbers[:100_000].median(dim=0).values)
        self.bends = nn.Parameter(torch.zeros(width, bins, embedding))
        sizes = (width * (1 + embedding), *hidden)
        self.adapters = nn.Parameter(torch.randint(0, 2, (members, sizes[0])) * 2.0 - 1)
        self.layers = nn.Sequential(
            *(
                layer
                for before, after in pairwise(sizes)
                for layer in (nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout))
            )
        )
        self.last = nn.Parameter(torch.randn(members, sizes[-1], outputs) / sizes[-1] ** 0.5)
        self.last_bias = nn.Parameter(torch.zeros(members, outputs))

    edges: Tensor
    center: Tensor

    def forward(self, numbers: Tensor) -> Tensor:
        """Return [rows, members, outputs]."""
        scaled = numbers - self.center
        limited = scaled / torch.sqrt(1 + (scaled / 3) ** 2)
        lengths = self.edges[:, 1:] - self.edges[:, :-1]
        shares = ((numbers[..., None] - self.edges[:, :-1]) / lengths).clamp(0, 1)
        embedded = torch.einsum("nfb,fbe->nfe", shares, self.bends)
        inputs = torch.cat([limited, embedded.flatten(1)], dim=1)
        values = self.layers(inputs[:, None] * self.adapters)
        return torch.einsum("nkh,kho->nko", values, self.last) + self.last_bias
