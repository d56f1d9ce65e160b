"""Containers for the arrays that a model reads, in memory or mapped from files.

Encoding columns into arrays belongs in `features.py`, laying out series in `series.py`.
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
    """The encoded inputs of a model."""

    numbers: NDArray[np.float32]
    """[rows, width], without missing values."""
    codes: NDArray[np.int64]
    """[rows, categories], each column from 0 to its cardinality - 1."""
    windows: RowWindows | None = None
    """Series only: the window of each requested row, as positions in `numbers` and `codes`."""

    def __len__(self) -> int:
        return len(self.numbers if self.windows is None else self.windows)

    def take(self, rows: Any) -> Arrays:
        """Select rows by their indices [rows]; for series, only the windows are selected."""
        if self.windows is not None:
            return Arrays(self.numbers, self.codes, self.windows.take(rows))
        return Arrays(self.numbers[rows], self.codes[rows])

    def one_hot(self, cardinalities: Sequence[int]) -> NDArray[np.float32]:
        """Return [rows, width + sum of cardinalities]: the numbers, then the codes as one-hot."""
        import numpy as np

        blocks = [
            np.eye(n, dtype=np.float32)[self.codes[:, i]] for i, n in enumerate(cardinalities)
        ]
        return np.concatenate([self.numbers, *blocks], axis=1) if blocks else self.numbers


@dataclass(frozen=True)
class LabelledArrays:
    """The encoded inputs with their true targets."""

    inputs: Arrays
    target: NDArray[Any]
    """Class codes, int64 [rows]; or standardised numbers, float32 [rows]."""

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: Any) -> LabelledArrays:
        """Select rows by their indices [rows]; for series, only the windows are selected."""
        return LabelledArrays(self.inputs.take(rows), self.target[rows])


def concatenate(parts: Sequence[LabelledArrays]) -> LabelledArrays:
    """Return the rows of all parts, one part after another.

    Windows of series stay within their part. The arrays are copied into memory.
    """
    import numpy as np

    inputs = [part.inputs for part in parts]
    starts = np.cumsum([0, *(len(arrays.numbers) for arrays in inputs)])
    windows = [
        RowWindows(arrays.windows.ends + start, arrays.windows.lengths, arrays.windows.size)
        for arrays, start in zip(inputs, starts[:-1], strict=True)
        if arrays.windows
    ]
    return LabelledArrays(
        Arrays(
            np.concatenate([arrays.numbers for arrays in inputs]),
            np.concatenate([arrays.codes for arrays in inputs]),
            _joined_windows(windows) if windows else None,
        ),
        np.concatenate([part.target for part in parts]),
    )


@dataclass(frozen=True)
class MemoryMap:
    """Files mapped into memory, so that pages that were read can be released."""

    maps: list[mmap.mmap] = field(default_factory=list)

    def array(self, path: Path, dtype: str, *shape: int) -> NDArray[Any]:
        """Map a file as an array; writing to it changes only the memory."""
        import numpy as np

        if not path.stat().st_size:
            return np.empty(shape, dtype=dtype)
        with path.open("rb") as file:
            mapped = mmap.mmap(
                file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE
            )
        self.maps.append(mapped)
        return np.frombuffer(mapped, dtype=dtype).reshape(shape)

    def release(self) -> None:
        """Drop the pages that were read; the next access reads them from the files again."""
        for mapped in self.maps:
            mapped.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True)
class RowWindows:
    """One window for each requested row, in the order of the rows."""

    ends: NDArray[np.int64]
    """[rows]: the row's own position in the layout, which is the last of its window."""
    lengths: NDArray[np.int64]
    """[rows]: from 1 to `size`; below `size` only at the beginning of a series."""
    size: int

    def __len__(self) -> int:
        return len(self.ends)

    def take(self, rows: Any) -> RowWindows:
        """Select rows by their indices [rows], or by a slice."""
        return RowWindows(self.ends[rows], self.lengths[rows], self.size)

    def places(self) -> NDArray[np.int64]:
        """Return [rows, size]: layout positions of each window, oldest first, -1 after its end."""
        import numpy as np

        step = np.arange(self.size)
        positions: NDArray[np.int64] = (self.ends - self.lengths + 1)[:, None] + step
        return np.where(step < self.lengths[:, None], positions, -1)


def _joined_windows(parts: Sequence[RowWindows]) -> RowWindows:
    import numpy as np

    return RowWindows(
        np.concatenate([part.ends for part in parts]),
        np.concatenate([part.lengths for part in parts]),
        parts[0].size,
    )
