"""The network over windows. Imports torch and Lightning, hence only inside functions.

What networks over windows are made of. Imports torch, hence is imported only inside functions.

A window is left-aligned: its oldest row first, nothing after its last. What stands there reaches no
row of it: recurrence and convolution only look back, attention is masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2

import torch
from torch import Tensor, nn
from torch.nn import functional

from factory_assets.ml.models.base import FARTHEST
from factory_assets.ml.models.networks.lightning.averaging import Averaging
from factory_assets.ml.models.networks.lightning.batches import Batch
from factory_assets.spec.models import Gru, SequenceNetwork, Tcn, Transformer


class SequenceModule(Averaging):
    """Rows of a window embedded, smoothed, read by `body`; the head says what the last one means.

    Its batches are where windows end, how long they are, and the targets.
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
        self.body = body_of(spec)
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
        """Keep the rows that windows are gathered from while learning; no part of the weights."""
        self.register_buffer("numbers", numbers, persistent=False)
        self.register_buffer("codes", codes, persistent=False)

    def forward(self, numbers: Tensor, codes: Tensor, windows: Tensor) -> Tensor:
        """[windows, outputs]: logits, or the standardised number.

        Args:
            numbers: [rows, width].
            codes: int64 [rows, categories].
            windows: int64 [windows, window], places in the rows; -1 after the last of a window.
        """
        present = windows >= 0
        places = windows.clamp(min=0)
        parts = [numbers[places].clamp(-FARTHEST, FARTHEST)] if numbers.shape[1] else []
        parts += [embed(codes[:, i][places]) for i, embed in enumerate(self.embeddings)]
        mask = present.unsqueeze(2).to(parts[0].dtype)
        rows = torch.cat(parts, dim=2) * mask
        seen = self.body(functional.gelu(self.smooth(rows)) * mask, present)
        last = (present.sum(dim=1) - 1).view(-1, 1, 1).expand(-1, 1, seen.shape[2])
        result: Tensor = self.head(seen.gather(1, last)[:, 0])
        return result

    def outputs_of(self, batch: Batch) -> Tensor:
        """Of ends, lengths and targets: the windows are gathered here and not before."""
        ends, lengths, _ = batch
        step = torch.arange(self.window, device=ends.device)
        places = (ends - lengths + 1).unsqueeze(1) + step
        windows = torch.where(step < lengths.unsqueeze(1), places, -1)
        outputs: Tensor = self(self.numbers, self.codes, windows)
        return outputs


class Causal(nn.Module):
    """A convolution over [rows, window, width] that looks at a row and those before it."""

    def __init__(self, width: int, outputs: int, span: int, dilation: int = 1) -> None:
        super().__init__()
        self.before = (span - 1) * dilation
        self.convolution = nn.Conv1d(width, outputs, span, dilation=dilation)

    def forward(self, rows: Tensor) -> Tensor:
        shifted = functional.pad(rows.transpose(1, 2), (self.before, 0))
        result: Tensor = self.convolution(shifted).transpose(1, 2)
        return result


class GruBody(nn.Module):
    """Rows one after another, each changing a memory."""

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
    """Residual convolutions of three rows, each twice as far apart as in the one before."""

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
    """Every row attends to every row of its window; a row knows how far from the last it is."""

    def __init__(self, spec: Transformer) -> None:
        super().__init__()
        self.distances = nn.Parameter(torch.randn(spec.window, spec.hidden) * 0.02)
        self.layers = nn.ModuleList(AttentionLayer(spec) for _ in range(spec.layers))

    def forward(self, rows: Tensor, present: Tensor) -> Tensor:
        place = torch.arange(rows.shape[1], device=rows.device)
        distance = (present.sum(dim=1, keepdim=True) - 1 - place).clamp(min=0)
        rows = rows + self.distances[distance]
        unseen = torch.where(present, 0.0, -torch.inf).to(rows.dtype)[:, None, None, :]
        for layer in self.layers:
            rows = layer(rows, unseen)
        return rows


class AttentionLayer(nn.Module):
    """Attention of several heads, then two linear layers, each beside what came in."""

    def __init__(self, spec: Transformer) -> None:
        super().__init__()
        self.heads, width = spec.heads, spec.hidden
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ask, self.tell = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(spec.dropout)

    def forward(self, rows: Tensor, unseen: Tensor) -> Tensor:
        window, width = rows.shape[1:]
        parts = self.ask(self.first(rows)).view(-1, window, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        scores = query @ key.transpose(2, 3) * (width // self.heads) ** -0.5 + unseen
        seen = (scores.softmax(dim=3) @ value).transpose(1, 2).reshape(-1, window, width)
        rows = rows + self.dropout(self.tell(seen))
        found: Tensor = rows + self.dropout(
            self.narrow(functional.gelu(self.wide(self.second(rows))))
        )
        return found


def body_of(spec: SequenceNetwork) -> nn.Module:
    """The layers of a declared kind: rows [windows, window, hidden] and which of them there are,
    to the same shape."""
    match spec:
        case Gru():
            return GruBody(spec)
        case Tcn():
            return TcnBody(spec)
        case Transformer():
            return TransformerBody(spec)
        case _:
            raise TypeError(f"{type(spec).__name__} reads no windows")
