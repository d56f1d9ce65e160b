"""The arrays that a model reads, in memory or mapped from files, with or without their labels.

How columns become arrays belongs in `features`, how series are laid out in `series`.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Arrays:
    """What a model reads."""

    numbers: NDArray[np.float32]
    """[rows, width], without a missing value."""
    codes: NDArray[np.int64]
    """[rows, categories], from 0 to each cardinality - 1."""
    windows: RowWindows | None = None
    """Of series: the rows that each asked row is judged by, as places in the two above."""

    def __len__(self) -> int:
        return len(self.numbers if self.windows is None else self.windows)

    def take(self, rows: Any) -> Arrays:
        """The same for some rows: indices [rows]; of a series its layout stays whole."""
        if self.windows is not None:
            return Arrays(self.numbers, self.codes, self.windows.take(rows))
        return Arrays(self.numbers[rows], self.codes[rows])

    def one_hot(self, cardinalities: Sequence[int]) -> NDArray[np.float32]:
        """[rows, width + sum of cardinalities]: the numbers, then each category's codes."""
        import numpy as np

        blocks = [
            np.eye(n, dtype=np.float32)[self.codes[:, i]] for i, n in enumerate(cardinalities)
        ]
        return np.concatenate([self.numbers, *blocks], axis=1) if blocks else self.numbers


@dataclass(frozen=True)
class LabelledArrays:
    """Inputs with their truth."""

    inputs: Arrays
    target: NDArray[Any]
    """int64 class codes [rows], or the standardised number, float32 [rows]."""

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: Any) -> LabelledArrays:
        """The same for some rows: indices [rows]."""
        return LabelledArrays(self.inputs.take(rows), self.target[rows])


@dataclass(frozen=True)
class MemoryMap:
    """Files that are mapped into memory, so that what was read can be let go of."""

    maps: list[mmap.mmap] = field(default_factory=list)

    def array(self, path: Path, kind: str, *shape: int) -> NDArray[Any]:
        """What the file holds; writing changes only the memory."""
        import numpy as np

        if not path.stat().st_size:
            return np.empty(shape, dtype=kind)
        with path.open("rb") as file:
            found = mmap.mmap(
                file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE
            )
        self.maps.append(found)
        return np.frombuffer(found, dtype=kind).reshape(shape)

    def release(self) -> None:
        """Forget what was read of the files; it is read again where it is asked for."""
        for found in self.maps:
            found.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class RowWindows:
    """One window a row, in the order of the rows that were asked for."""

    ends: NDArray[np.int64]
    """[rows]: the row's own place in the layout, the last of its window."""
    lengths: NDArray[np.int64]
    """[rows]: from 1 to `size`; fewer than that at the beginning of a series."""
    size: int

    def __len__(self) -> int:
        return len(self.ends)

    def take(self, rows: Any) -> RowWindows:
        """The same for some rows: indices [rows], or a slice."""
        return RowWindows(self.ends[rows], self.lengths[rows], self.size)

    def places(self) -> NDArray[np.int64]:
        """[rows, size]: the places of each window, the oldest first; -1 after its last row."""
        import numpy as np

        step = np.arange(self.size)
        found: NDArray[np.int64] = (self.ends - self.lengths + 1)[:, None] + step
        return np.where(step < self.lengths[:, None], found, -1)
