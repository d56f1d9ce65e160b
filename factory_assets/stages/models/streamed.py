"""Slices of rows that lie in files: near ones are read together, and let go of when they are read.

Imports torch and Lightning, hence is itself imported only inside functions.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from factory_assets.stages.large import Mapped
from factory_assets.stages.models.learning import Batch, Shuffled, Slices

TOGETHER = 262_144
"""Rows that are mixed with each other, at least one slice."""


class Streamed(Shuffled):
    """In an order by chance: of slices as they lie, and of the rows of the slices read together."""

    def __init__(self, tensors: Batch, size: int, seed: int, mapped: Mapped) -> None:
        super().__init__(tensors, size, seed)
        self._mapped = mapped

    def _places(self) -> Iterator[Tensor]:
        rows, size = len(self._tensors[2]), self._size
        starts = torch.randperm(len(self), generator=self._generator) * size
        for group in torch.split(starts, max(1, TOGETHER // size)):
            near = torch.cat([torch.arange(s, min(s + size, rows)) for s in group.tolist()])
            mixed = near[torch.randperm(len(near), generator=self._generator)]
            yield from torch.split(mixed, size)
            self._mapped.let_go()


class Passing(Slices):
    """As they lie."""

    def __init__(self, tensors: Batch, size: int, mapped: Mapped) -> None:
        super().__init__(tensors, size)
        self._mapped = mapped

    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            yield batch
            self._mapped.let_go()
