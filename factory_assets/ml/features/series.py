"""Windows over series: which rows of a table a row is judged by. Places only, no values.

Rows are laid out series after series, each in its order; a window is then where it ends and how
many rows it holds, so that no window is ever copied until a batch of them is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from factory_assets.ml.features.arrays import RowWindows
from factory_assets.results.base import StageResult
from factory_assets.spec import ModelSpec, SequenceNetwork
from factory_resources.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class Series(StageResult):
    """How rows make series, and how far back a row sees."""

    by: str
    order: str
    window: int


def series_of(spec: ModelSpec) -> Series | None:
    """What the declared model says of series; None for a model of single rows."""
    if not isinstance(spec, SequenceNetwork):
        return None
    return Series(by=spec.by, order=spec.order, window=spec.window)


def lay_out(table: pa.Table, series: Series) -> tuple[NDArray[np.int64], RowWindows]:
    """Lay a table out in series.

    Rows of equal order stay as they stand; a missing order comes last, and rows without a series
    are one series, all as in `clean.windows`.

    Returns:
        The rows of the table in the order of the layout, int64 [rows], and the window of each row
        in the order of the table.

    Raises:
        DataError: when one of the two columns is missing.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    for key, name in (("by", series.by), ("order", series.order)):
        if name not in table.column_names:
            raise DataError(
                f"column {name!r} is missing, which the windows of the model need",
                where=f"train.model.{key}",
                remedy=f"the rows of each {series.by} are ordered by {series.order}; give both",
            )
    owner = value_codes(table[series.by])
    keys = pa.table({"owner": owner, "order": _plain(table[series.order])})
    ranked = pc.sort_indices(keys, sort_keys=[("owner", "ascending"), ("order", "ascending")])
    rows: NDArray[np.int64] = ranked.to_numpy().astype(np.int64)
    places = np.arange(len(rows))
    first = np.diff(owner[rows], prepend=-1) != 0
    age = places - np.maximum.accumulate(np.where(first, places, 0)) + 1
    lengths = np.minimum(age, series.window)
    ends = np.empty_like(rows)
    ends[rows] = places
    return rows, RowWindows(ends, lengths[ends], series.window)


def value_codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """[rows]: the same number for the same value; a missing one counts as a value."""
    import numpy as np

    encoded = _plain(column).dictionary_encode(null_encoding="encode").combine_chunks()
    whole = encoded if hasattr(encoded, "indices") else encoded.chunk(0)
    found: NDArray[np.int64] = whole.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
