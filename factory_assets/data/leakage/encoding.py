"""Encode columns as small whole numbers, for counting: names, intervals of numbers, classes.

What is counted belongs in `predictive_power`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]


FEW = 20
"""A whole-number target with at most this many values names classes, as in training."""

_BINS, _IN_BIN = 64, 10
"""Most intervals of a numeric column, and the average number of rows that each needs."""


def is_named(column: pa.ChunkedArray) -> bool:
    """Return whether the values of a column are names rather than amounts."""
    import pyarrow.types as types

    text = types.is_string(column.type) or types.is_large_string(column.type)
    return bool(text or types.is_boolean(column.type))


def is_regressed(target: pa.ChunkedArray, task: str | None) -> bool:
    """Return whether a target is a number to predict, by the declared task or by its values."""
    import pyarrow.compute as pc
    import pyarrow.types as types

    if task is not None:
        return task == "regression"
    if types.is_integer(target.type):
        return int(pc.count_distinct(target).as_py()) > FEW
    return bool(types.is_floating(target.type))


def encode_names(column: pa.ChunkedArray) -> tuple[Codes, pa.Array]:
    """Return a code for each row, and the value of each code; one more code means missing.

    The values stay in Arrow: a measurement may have as many different values as rows.
    """
    encoded = column.dictionary_encode().combine_chunks()
    codes = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)
    return codes.astype("int64"), encoded.dictionary


def value_text(value: pa.Scalar) -> str:
    """Return a value as a person writes it: 1 rather than 1.0, and `true` as in the declaration."""
    plain = value.as_py()
    if isinstance(plain, bool):
        return str(plain).lower()
    return f"{plain:g}" if isinstance(plain, float) else str(plain)


def encode(column: pa.ChunkedArray) -> Codes | None:
    """Return a code for each row: its name, or its interval of numbers or times.

    The intervals have about equally many rows. None for a type that cannot be an input, and for a
    column without any finite number.
    """
    import numpy as np
    import pyarrow.types as types

    if is_named(column):
        return encode_names(column)[0]
    column = times_as_numbers(column)
    if not types.is_integer(column.type) and not types.is_floating(column.type):
        return None
    values = column.cast("float64", safe=False).to_numpy()
    known = np.sort(values[np.isfinite(values)])
    if not len(known):
        return None
    bins = max(2, min(_BINS, len(values) // _IN_BIN))
    edges = np.unique(known[np.linspace(0, len(known) - 1, bins + 1).astype(int)[1:]])
    codes = np.searchsorted(edges, values, side="left")
    return np.where(np.isfinite(values), codes, len(edges) + 1).astype(np.int64)


def times_as_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return dates and timestamps as microseconds since 1970, any other column as it is."""
    import pyarrow.types as types

    if types.is_date(column.type) or types.is_timestamp(column.type):
        return column.cast("timestamp[us]", safe=False).cast("int64")
    return column


def ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the ranks of the values, between 0 and 1; equal values share the middle of theirs.

    Ranks keep a single outlier from deciding a measure.
    """
    import numpy as np

    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle: NDArray[np.float64] = (np.cumsum(counts) - counts / 2)[place] / len(values)
    return middle
