"""Which columns a model may learn from by the declaration, and how their values are read.

Decisions that need the values, such as leaving out constant columns, belong in `features.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from factory_assets.spec import IDENTITY, Cnn, Pipeline, SequenceNetwork, time_dimension
from factory_resources.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


def require_columns(table: pa.Table, columns: Sequence[str]) -> None:
    """Raise a DataError if an input column of the model is missing."""
    # Arrow makes the list of the names anew each time that it is asked.
    given = set(table.column_names)
    missing = next((name for name in columns if name not in given), None)
    if missing:
        raise DataError(
            f"input column {missing!r} is missing",
            remedy=f"provide all columns that the model reads: {', '.join(columns)}",
        )


def is_text(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    text = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(text) or types.is_large_string(text) or types.is_string_view(text))


def is_number(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def read_numbers(table: pa.Table, name: str) -> NDArray[np.float32]:
    """Return [rows], NaN if missing; infinite values count as missing, as in the served model.

    Raises:
        DataError: if the column cannot be cast to numbers.
    """
    import numpy as np

    narrow = _as_float32(table, name)
    infinite = np.isinf(narrow)
    if infinite.any():
        narrow[infinite] = np.nan
    return narrow


def beyond_float32(table: pa.Table, name: str) -> NDArray[np.bool_]:
    """Return for each row whether the number is infinite, or becomes so in float32.

    Raises:
        DataError: if the column cannot be cast to numbers.
    """
    import numpy as np

    infinite: NDArray[np.bool_] = np.isinf(_as_float32(table, name))
    return infinite


def _as_float32(table: pa.Table, name: str) -> NDArray[np.float32]:
    import numpy as np
    import pyarrow as pa

    try:
        values = table[name].cast(pa.float64(), safe=False).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"input column {name!r} holds {table.schema.field(name).type}, not numbers",
            remedy="provide it as numbers",
        ) from error
    # Round before fitting: learned thresholds must match the float32 values used in serving.
    with np.errstate(over="ignore"):
        narrow: NDArray[np.float32] = values.astype(np.float32)
    return narrow


def read_categories(table: pa.Table, name: str) -> pa.DictionaryArray:
    """Return the column as dictionary-encoded text in one chunk; booleans are `true`, `false`."""
    import pyarrow as pa

    column = table[name]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    encoded = column.cast(pa.large_string()).dictionary_encode().combine_chunks()
    return encoded if isinstance(encoded, pa.DictionaryArray) else encoded.chunk(0)


def read_words(table: pa.Table, name: str) -> NDArray[Any]:
    """Return [rows] of text, "" if missing."""
    import numpy as np

    encoded = read_categories(table, name)
    words = np.array([*encoded.dictionary.to_pylist(), ""], dtype=object)
    indices = encoded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False)
    texts: NDArray[Any] = words[indices]
    return texts


def input_columns(pipeline: Pipeline, columns: Iterable[str]) -> list[str]:
    """Return the columns that a model may learn from.

    Left out are the identity of a row, the target, excluded columns, the columns by which rows
    are split or partitioned, and the column that separates the series of a sequence model.
    """
    spec = pipeline.spec
    given = spec.split.given.column if spec.split.given else None
    # The time partition of a row says nothing about future rows.
    time = time_dimension(spec.partitions)
    model = spec.training.model
    by = model.by if isinstance(model, SequenceNetwork) else None
    left_out = {*IDENTITY, spec.training.target, *spec.training.exclude, spec.split.group, given}
    return [name for name in columns if name not in left_out | {time, by}]


def read_columns(pipeline: Pipeline, kinds: Mapping[str, str]) -> list[str]:
    """Return those of the inputs that the model reads, given their DuckDB types.

    It reads no date that orders windows, and none at all if it is of series or images.
    """
    windows = pipeline.spec.clean.windows
    no_dates = isinstance(pipeline.spec.training.model, SequenceNetwork | Cnn)
    return [
        name
        for name in input_columns(pipeline, kinds)
        if not kinds[name].startswith(("DATE", "TIMESTAMP"))
        or not (no_dates or (windows and windows.order == name))
    ]
