"""Slices of rows that lie in files: near ones are read together, and let go of when they are read.

Imports torch and Lightning, hence is itself imported only inside functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any

import torch
from torch import Tensor

from factory_assets.ml.features.arrays import MemoryMap

Batch = tuple[Tensor, Tensor, Tensor]
"""Numbers [rows, width], codes [rows, categories], target [rows], as in `Rows`; of windows: where
they end, how long they are, target, all [rows]."""

BLOCK = 32
"""Slices learned in one call of `training_step`: what Lightning adds to a call costs a slice."""


class Slices:
    """Slices of tensors as they are."""

    def __init__(self, tensors: Batch, size: int) -> None:
        self._tensors, self._size = tensors, size

    def __len__(self) -> int:
        return ceil(len(self._tensors[2]) / self._size)

    def __iter__(self) -> Iterator[Batch]:
        yield from sliced(self._tensors, self._size)


class Shuffled(Slices):
    """Slices in an order by chance: the same for the same seed, another one every epoch."""

    def __init__(self, tensors: Batch, size: int, seed: int, rank: int = 0, ranks: int = 1) -> None:
        """
        Args:
            rank: which of `ranks` processes reads its share here; each reads as many rows.
        """
        super().__init__(tensors, size)
        self._rank, self._ranks = rank, ranks
        self._generator = torch.Generator().manual_seed(seed)
        self._before = self._generator.get_state()
        """Of the epoch that is under way, the chance that its order came from."""
        self._taken = 0

    def __iter__(self) -> Iterator[Batch]:
        first, second, target = self._tensors
        self._before, before = self._generator.get_state(), self._taken % len(self)
        for number, places in enumerate(self._places()):
            if number >= before:
                self._taken = number + 1
                yield first[places], second[places], target[places]

    def _places(self) -> Iterator[Tensor]:
        """The rows of each slice of an epoch."""
        order = torch.randperm(len(self._tensors[2]), generator=self._generator)
        yield from torch.split(self._share(order), self._size)

    def __len__(self) -> int:
        return ceil(len(self._tensors[2]) / self._ranks / self._size)

    def _share(self, order: Tensor) -> Tensor:
        # Where they do not add up, some rows are read by two: all must do the same steps.
        more = -len(order) % self._ranks
        return torch.cat([order, order[:more]])[self._rank :: self._ranks]

    @property
    def place(self) -> tuple[Tensor, int]:
        """How far it was read: the chance of the epoch, and how many of its slices are taken."""
        amid = self._taken < len(self)
        return self._before if amid else self._generator.get_state(), self._taken

    def go_to(self, place: tuple[Tensor, int]) -> None:
        """Go on from where another was read to."""
        generator, self._taken = place
        self._generator.set_state(generator)


def sliced(tensors: Any, size: int) -> Iterator[Any]:
    """Views of `size` rows of every tensor at once; the last may be shorter."""
    yield from zip(*(tensor.split(size) for tensor in tensors), strict=True)


TOGETHER = 262_144
"""Rows that are mixed with each other, at least one slice."""


class Streamed(Shuffled):
    """In an order by chance: of slices as they lie, and of the rows of the slices read together."""

    def __init__(self, tensors: Batch, size: int, seed: int, mapped: MemoryMap) -> None:
        super().__init__(tensors, size, seed)
        self._mapped = mapped

    def _places(self) -> Iterator[Tensor]:
        rows, size = len(self._tensors[2]), self._size
        starts = torch.randperm(len(self), generator=self._generator) * size
        for group in torch.split(starts, max(1, TOGETHER // size)):
            near = torch.cat([torch.arange(s, min(s + size, rows)) for s in group.tolist()])
            mixed = near[torch.randperm(len(near), generator=self._generator)]
            yield from torch.split(mixed, size)
            self._mapped.release()


class Passing(Slices):
    """As they lie."""

    def __init__(self, tensors: Batch, size: int, mapped: MemoryMap) -> None:
        super().__init__(tensors, size)
        self._mapped = mapped

    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            yield batch
            self._mapped.release()
