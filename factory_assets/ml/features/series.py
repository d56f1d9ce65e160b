"""Windows over series: which rows of a table form the input of each row. Positions, no values.

Rows are laid out series after series, each in its order. A window is then described by its last
position and its length, so that windows are copied only when a batch of them is read.
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
    """Which columns separate and order series, and how many rows a window has at most."""

    by: str
    order: str
    window: int


def series_of(spec: ModelSpec) -> Series | None:
    """Return the series of a declared sequence model; None for a model of single rows."""
    if not isinstance(spec, SequenceNetwork):
        return None
    return Series(by=spec.by, order=spec.order, window=spec.window)


def lay_out(table: pa.Table, series: Series) -> tuple[NDArray[np.int64], RowWindows]:
    """Arrange the rows of a table series after series.

    Rows of equal order keep the order of the table, rows with a missing order come last, and rows
    with a missing series key form one series, all as in `clean.windows`.

    Returns:
        The table row at each position of the layout, int64 [rows], and the window of each row in
        the order of the table.

    Raises:
        DataError: if the column that separates or orders series is missing.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    for key, name in (("by", series.by), ("order", series.order)):
        if name not in table.column_names:
            raise DataError(
                f"column {name!r} is missing, but the windows of the model need it",
                where=f"train.model.{key}",
                remedy=f"provide {series.by} and {series.order}, which orders the rows of each "
                f"{series.by}",
            )
    owner = value_codes(table[series.by])
    keys = pa.table({"owner": owner, "order": plain_values(table[series.order])})
    ranked = pc.sort_indices(keys, sort_keys=[("owner", "ascending"), ("order", "ascending")])
    rows: NDArray[np.int64] = ranked.to_numpy().astype(np.int64)
    positions = np.arange(len(rows))
    first = np.diff(owner[rows], prepend=-1) != 0
    rows_so_far = positions - np.maximum.accumulate(np.where(first, positions, 0)) + 1
    lengths = np.minimum(rows_so_far, series.window)
    ends = np.empty_like(rows)
    ends[rows] = positions
    return rows, RowWindows(ends, lengths[ends], series.window)


def value_codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return [rows]: one code for each distinct value; missing counts as a value."""
    import numpy as np

    encoded = plain_values(column).dictionary_encode(null_encoding="encode").combine_chunks()
    whole = encoded if hasattr(encoded, "indices") else encoded.chunk(0)
    codes: NDArray[np.int64] = whole.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def plain_values(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the values themselves of a column that has a dictionary of them."""
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
