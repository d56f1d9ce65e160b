"""The network over windows of series, and its recurrent, convolutional and attention layers.

A window is left-aligned: oldest row first, padding after its last row. Padding never influences a
row of the window: recurrence and convolution only look back, and attention is masked.

This module imports torch and Lightning, so import it only inside functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2

import torch
from torch import Tensor, nn
from torch.nn import functional

from factory_assets.ml.models.base import CLIP_SD
from factory_assets.ml.models.networks.lightning.averaging import AveragedNetworkModule
from factory_assets.ml.models.networks.lightning.batches import Batch
from factory_assets.spec.models import Gru, SequenceNetwork, Tcn, Transformer


class SequenceModule(AveragedNetworkModule):
    """Embeds the rows of a window, smooths them, runs `body`; the head reads the last row.

    A batch is the window ends, the window lengths and the targets.
    """

    def __init__(
        self,
        numeric: int,
        categories: Sequence[int],
        outputs: int,
        spec: SequenceNetwork,
    ) -> None:
        super().__init__()
        sizes = [min(32, (cardinality + 1) // 2) for cardinality in categories]
        self.embeddings = nn.ModuleList(map(nn.Embedding, categories, sizes))
        self.smooth = Causal(numeric + sum(sizes), spec.hidden, spec.smooth)
        self.body = build_body(spec)
        self.head = nn.Sequential(
            nn.LayerNorm(spec.hidden),
            nn.Linear(spec.hidden, spec.hidden),
            nn.GELU(),
            nn.Dropout(spec.dropout),
            nn.Linear(spec.hidden, outputs),
        )
        self.window = spec.window
        self.read(torch.empty((0, numeric)), torch.empty((0, len(categories)), dtype=torch.int64))

    def read(self, numbers: Tensor, codes: Tensor) -> None:
        """Set the rows from which training gathers windows; they are not part of the weights."""
        self.register_buffer("numbers", numbers, persistent=False)
        self.register_buffer("codes", codes, persistent=False)

    def forward(self, numbers: Tensor, codes: Tensor, windows: Tensor) -> Tensor:
        """Return [windows, outputs]: logits, or the standardised number.

        Args:
            numbers: [rows, width].
            codes: int64 [rows, categories].
            windows: int64 [windows, window], positions in the rows; -1 after the last of a window.
        """
        present = windows >= 0
        positions = windows.clamp(min=0)
        parts = [numbers[positions].clamp(-CLIP_SD, CLIP_SD)] if numbers.shape[1] else []
        parts += [embed(codes[:, i][positions]) for i, embed in enumerate(self.embeddings)]
        mask = present.unsqueeze(2).to(parts[0].dtype)
        rows = torch.cat(parts, dim=2) * mask
        states = self.body(functional.gelu(self.smooth(rows)) * mask, present)
        last = (present.sum(dim=1) - 1).view(-1, 1, 1).expand(-1, 1, states.shape[2])
        result: Tensor = self.head(states.gather(1, last)[:, 0])
        return result

    def outputs_of(self, batch: Batch) -> Tensor:
        """Gather the windows of a batch, and return the network's outputs for them."""
        ends, lengths, _ = batch
        step = torch.arange(self.window, device=ends.device)
        positions = (ends - lengths + 1).unsqueeze(1) + step
        windows = torch.where(step < lengths.unsqueeze(1), positions, -1)
        outputs: Tensor = self(self.numbers, self.codes, windows)
        return outputs


class Causal(nn.Module):
    """A convolution over [windows, window, width] that reads a row and those before it."""

    def __init__(self, width: int, outputs: int, span: int, dilation: int = 1) -> None:
        super().__init__()
        self.before = (span - 1) * dilation
        self.convolution = nn.Conv1d(width, outputs, span, dilation=dilation)

    def forward(self, rows: Tensor) -> Tensor:
        shifted = functional.pad(rows.transpose(1, 2), (self.before, 0))
        result: Tensor = self.convolution(shifted).transpose(1, 2)
        return result


class GruBody(nn.Module):
    """Gated recurrent units."""

    def __init__(self, spec: Gru) -> None:
        super().__init__()
        dropout = spec.dropout if spec.layers > 1 else 0.0
        self.layers = nn.GRU(
            spec.hidden, spec.hidden, spec.layers, batch_first=True, dropout=dropout
        )

    def forward(self, rows: Tensor, present: Tensor) -> Tensor:
        result: Tensor = self.layers(rows)[0]
        return result


class TcnBody(nn.Module):
    """Residual causal convolutions over three rows; each layer doubles the dilation."""

    def __init__(self, spec: Tcn) -> None:
        super().__init__()
        layers = spec.layers or max(1, ceil(log2((spec.window + 1) / 2)))
        self.norms = nn.ModuleList(nn.LayerNorm(spec.hidden) for _ in range(layers))
        self.convolutions = nn.ModuleList(
            Causal(spec.hidden, spec.hidden, 3, 2**i) for i in range(layers)
        )
        self.mixes = nn.ModuleList(nn.Linear(spec.hidden, spec.hidden) for _ in range(layers))
        self.dropout = nn.Dropout(spec.dropout)

    def forward(self, rows: Tensor, present: Tensor) -> Tensor:
        for norm, convolution, mix in zip(self.norms, self.convolutions, self.mixes, strict=True):
            rows = rows + self.dropout(mix(functional.gelu(convolution(norm(rows)))))
        return rows


class TransformerBody(nn.Module):
    """Self-attention within a window; each row embeds its distance to the last row."""

    def __init__(self, spec: Transformer) -> None:
        super().__init__()
        self.distances = nn.Parameter(torch.randn(spec.window, spec.hidden) * 0.02)
        self.layers = nn.ModuleList(AttentionLayer(spec) for _ in range(spec.layers))

    def forward(self, rows: Tensor, present: Tensor) -> Tensor:
        position = torch.arange(rows.shape[1], device=rows.device)
        distance = (present.sum(dim=1, keepdim=True) - 1 - position).clamp(min=0)
        rows = rows + self.distances[distance]
        mask = torch.where(present, 0.0, -torch.inf).to(rows.dtype)[:, None, None, :]
        for layer in self.layers:
            rows = layer(rows, mask)
        return rows


class AttentionLayer(nn.Module):
    """Multi-head attention, then two linear layers, both with residual connections."""

    def __init__(self, spec: Transformer) -> None:
        super().__init__()
        self.heads, width = spec.heads, spec.hidden
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask, self.tell = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(spec.dropout)

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        window, width = rows.shape[1:]
        parts = self.ask(self.first(rows)).view(-1, window, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        scores = query @ key.transpose(2, 3) * (width // self.heads) ** -0.5 + mask
        attended = (scores.softmax(dim=3) @ value).transpose(1, 2).reshape(-1, window, width)
        rows = rows + self.dropout(self.tell(attended))
        result: Tensor = rows + self.dropout(
            self.narrow(functional.gelu(self.wide(self.second(rows))))
        )
        return result


def build_body(spec: SequenceNetwork) -> nn.Module:
    """Return the layers of a declared kind.

    They map rows [windows, window, hidden] to the same shape; `present`, bool [windows, window],
    is False for padding.
    """
    match spec:
        case Gru():
            return GruBody(spec)
        case Tcn():
            return TcnBody(spec)
        case Transformer():
            return TransformerBody(spec)
        case _:
            raise TypeError(f"{type(spec).__name__} does not read windows")
