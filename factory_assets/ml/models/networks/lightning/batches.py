"""Iterate over slices of rows, in memory or in mapped files, in their order or shuffled.

Nearby slices of mapped files are read together, and their pages released afterwards. The training
step belongs in `module.py`. This module imports torch, so import it only inside functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any

import torch
from torch import Tensor

from factory_assets.ml.features.arrays import MemoryMap

Batch = tuple[Tensor, Tensor, Tensor]
"""Numbers [rows, width], codes [rows, categories] and target [rows], as in `LabelledArrays`; for
windows: their ends, their lengths and target, all [rows]."""

ROWS_PER_BATCH = 65_536
"""Rows that are evaluated in one batch at most."""

LAYER_VALUES = 1 << 22
"""Values that a layer has for a batch that is evaluated, at most 16 MiB. If a layer has more, the
system provides new pages each time, which takes longer than the layer."""

BLOCK = 32
"""Batches in one call of `training_step`: Lightning's overhead for a call costs as much as one."""


def evaluated_at_once(values_per_row: int) -> int:
    """Return how many rows are evaluated in one batch.

    Args:
        values_per_row: how many values the largest layer of the network has for one row.
    """
    return max(1, min(ROWS_PER_BATCH, LAYER_VALUES // values_per_row))


class Slices:
    """Consecutive slices of tensors, in their order."""

    def __init__(self, tensors: Batch, size: int) -> None:
        self._tensors, self._size = tensors, size

    def __len__(self) -> int:
        return ceil(len(self._tensors[2]) / self._size)

    def __iter__(self) -> Iterator[Batch]:
        yield from sliced(self._tensors, self._size)


class ShuffledSlices(Slices):
    """Slices of shuffled rows: another order every epoch, the same orders for the same seed."""

    def __init__(self, tensors: Batch, size: int, seed: int, rank: int = 0, ranks: int = 1) -> None:
        """
        Args:
            rank: the number of this process among `ranks`; each reads an equal share of the rows.
        """
        super().__init__(tensors, size)
        self._rank, self._ranks = rank, ranks
        self._generator = torch.Generator().manual_seed(seed)
        self._epoch_state = self._generator.get_state()
        """The generator's state from which the order of the current epoch was drawn."""
        self._taken = 0

    def __iter__(self) -> Iterator[Batch]:
        first, second, target = self._tensors
        self._epoch_state, skipped = self._generator.get_state(), self._taken % len(self)
        for number, rows in enumerate(self._row_indices()):
            if number >= skipped:
                self._taken = number + 1
                yield first[rows], second[rows], target[rows]

    def _row_indices(self) -> Iterator[Tensor]:
        """Yield the row indices of each slice of an epoch."""
        order = torch.randperm(len(self._tensors[2]), generator=self._generator)
        yield from torch.split(self._share(order), self._size)

    def __len__(self) -> int:
        return ceil(len(self._tensors[2]) / self._ranks / self._size)

    def _share(self, order: Tensor) -> Tensor:
        # All processes must do the same steps: if rows are missing for that, some are read twice.
        missing = -len(order) % self._ranks
        return torch.cat([order, order[:missing]])[self._rank :: self._ranks]

    @property
    def place(self) -> tuple[Tensor, int]:
        """The position: the generator state of the epoch, and how many of its slices were read."""
        within_epoch = self._taken < len(self)
        state = self._epoch_state if within_epoch else self._generator.get_state()
        return state, self._taken

    def go_to(self, place: tuple[Tensor, int]) -> None:
        """Continue at a position that `place` returned."""
        generator, self._taken = place
        self._generator.set_state(generator)


def sliced(tensors: Any, size: int) -> Iterator[Any]:
    """Yield views of `size` rows of all tensors at once; the last views may be shorter."""
    yield from zip(*(tensor.split(size) for tensor in tensors), strict=True)


SHUFFLE_ROWS = 262_144
"""Rows that are shuffled with each other; at least one slice."""


class ShuffledMappedSlices(ShuffledSlices):
    """Slices of mapped files in shuffled order; rows are shuffled among slices read together."""

    def __init__(self, tensors: Batch, size: int, seed: int, mapped: MemoryMap) -> None:
        super().__init__(tensors, size, seed)
        self._mapped = mapped

    def _row_indices(self) -> Iterator[Tensor]:
        rows, size = len(self._tensors[2]), self._size
        starts = torch.randperm(len(self), generator=self._generator) * size
        for group in torch.split(starts, max(1, SHUFFLE_ROWS // size)):
            indices = torch.cat([torch.arange(s, min(s + size, rows)) for s in group.tolist()])
            shuffled = indices[torch.randperm(len(indices), generator=self._generator)]
            yield from torch.split(shuffled, size)
            self._mapped.release()


class MappedSlices(Slices):
    """Slices of mapped files in their order."""

    def __init__(self, tensors: Batch, size: int, mapped: MemoryMap) -> None:
        super().__init__(tensors, size)
        self._mapped = mapped

    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            yield batch
            self._mapped.release()
