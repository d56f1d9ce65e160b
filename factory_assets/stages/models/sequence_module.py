"""The network over windows. Imports torch and Lightning, hence only inside functions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from factory_assets.spec.sequence import Sequence as Spec
from factory_assets.stages.models.averaging import Averaging
from factory_assets.stages.models.base import FARTHEST
from factory_assets.stages.models.learning import Batch
from factory_assets.stages.models.sequence_layers import Causal, body_of


class SequenceModule(Averaging):
    """Rows of a window embedded, smoothed, read by `body`; the head says what the last one means.

    Its batches are where windows end, how long they are, and the targets.
    """

    def __init__(
        self,
        numeric: int,
        categories: Sequence[int],
        outputs: int,
        spec: Spec,
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
