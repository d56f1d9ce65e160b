"""Columns as small whole numbers, for counting: names, stretches of numbers, classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]


FEW = 20
"""A whole-number target of at most this many values names classes, as in training."""

_BINS, _IN_BIN = 64, 10


def is_named(column: pa.ChunkedArray) -> bool:
    """Whether its values are names rather than amounts."""
    import pyarrow.types as types

    text = types.is_string(column.type) or types.is_large_string(column.type)
    return bool(text or types.is_boolean(column.type))


def is_regressed(target: pa.ChunkedArray, task: str | None) -> bool:
    """Whether a target is a number to be predicted, by the declared task or by its values."""
    import pyarrow.compute as pc
    import pyarrow.types as types

    if task is not None:
        return task == "regression"
    if types.is_integer(target.type):
        return int(pc.count_distinct(target).as_py()) > FEW
    return bool(types.is_floating(target.type))


def counted(column: pa.ChunkedArray) -> tuple[Codes, pa.Array]:
    """A code for each row, and the values that the codes stand for; one more code is a missing one.

    The values stay in the engine's form: of a measurement there are as many as rows.
    """
    encoded = column.dictionary_encode().combine_chunks()
    codes = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy(zero_copy_only=False)
    return codes.astype("int64"), encoded.dictionary


def word(value: pa.Scalar) -> str:
    """A value as a person writes it: 1 rather than 1.0, and `true` as in the declaration."""
    known = value.as_py()
    if isinstance(known, bool):
        return str(known).lower()
    return f"{known:g}" if isinstance(known, float) else str(known)


def coded(column: pa.ChunkedArray) -> Codes | None:
    """A code for each name, or for each stretch of numbers of about as many rows.

    None for a type that is no input, and where there is no number at all.
    """
    import numpy as np
    import pyarrow.types as types

    if is_named(column):
        return counted(column)[0]
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


def ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Between 0 and 1, equal values in the middle of theirs: no outlier decides alone."""
    import numpy as np

    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle: NDArray[np.float64] = (np.cumsum(counts) - counts / 2)[place] / len(values)
    return middle
