"""Find numbers that models would confuse: readings near 1e9 that differ by a few units.

Models compute in float32, which has some seven digits. What is subtracted in `clean.derive`, in
float64, leaves the digits that differ.
"""

from collections.abc import Iterator, Sequence
from math import ceil, log10
from typing import TYPE_CHECKING, Any

from factory_assets.cli.new.column_summary import ColumnSummary
from factory_assets.cli.new.profile import FileProfile

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LARGEST = 2.0**62
"""From here on, no whole number of 64 bits holds what is subtracted."""

_KEPT = 0.5
"""Share of the different numbers that float32 must tell apart."""

_MIDDLE = (0.25, 0.5, 0.75)
"""Quantiles that tell how far numbers are apart and from 0, even if some are a code for none."""

REASON = "models compute in 32 bits, to which such numbers are one"


def offsets(table: FileProfile, columns: Sequence[ColumnSummary]) -> Iterator[tuple[str, int]]:
    """Yield the inputs whose numbers are confused, by their names in the file, with a round number
    to subtract from each.

    Args:
        table: the profile of the data file.
        columns: the inputs.
    """
    import numpy as np

    for column in columns:
        if column.type not in ("int64", "float64") or column.written:
            continue
        numbers = table.sample[column.source].drop_null().cast("float64", safe=False).to_numpy()
        numbers = numbers[np.abs(numbers) < _LARGEST]
        if not _is_confused(numbers):
            continue
        low, middle, high = (float(end) for end in np.quantile(numbers, _MIDDLE))
        if low == high:
            continue
        unit = 10 ** ceil(log10(high - low))
        offset = round(middle / unit) * unit if unit >= 1 else round(middle)
        if not _is_confused(numbers - offset):
            yield column.source, int(offset)


def _is_confused(numbers: "NDArray[Any]") -> bool:
    """Whether float32 makes one number of many."""
    import numpy as np

    narrow = numbers.astype(np.float32)
    return len(np.unique(narrow)) < _KEPT * len(np.unique(numbers))
