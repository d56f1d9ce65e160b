"""Which columns a model may learn from, by the declaration alone; their values are looked at in
`features`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from factory_assets.spec import IDENTITY, Pipeline, SequenceNetwork, time_dimension
from factory_resources.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


def is_text(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    text = kind.value_type if types.is_dictionary(kind) else kind
    return bool(types.is_string(text) or types.is_large_string(text) or types.is_string_view(text))


def is_number(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def read_numbers(table: pa.Table, name: str) -> NDArray[np.float32]:
    """[rows], NaN where missing; infinite values count as missing, as in the served model.

    Raises:
        DataError: when the column holds no numbers.
    """
    import numpy as np
    import pyarrow as pa

    try:
        values = table[name].cast(pa.float64(), safe=False).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"input column {name!r} holds {table.schema.field(name).type}, not numbers",
            remedy="give it as numbers",
        ) from error
    # Rounded before anything is fitted: thresholds must agree with the float32 that is served.
    with np.errstate(over="ignore"):
        narrow: NDArray[np.float32] = values.astype(np.float32)
    infinite = np.isinf(narrow)
    if infinite.any():
        narrow[infinite] = np.nan
    return narrow


def read_names(table: pa.Table, name: str) -> pa.DictionaryArray:
    """The column as dictionary-encoded text, one chunk; booleans read `true` and `false`."""
    import pyarrow as pa

    column = table[name]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    encoded = column.cast(pa.large_string()).dictionary_encode().combine_chunks()
    return encoded if isinstance(encoded, pa.DictionaryArray) else encoded.chunk(0)


def inputs_of(pipeline: Pipeline, columns: Iterable[str]) -> list[str]:
    """Every column but the target, the excluded and those that only say which part a row is in."""
    spec = pipeline.spec
    given = spec.split.given.column if spec.split.given else None
    # When a row came says nothing about rows to come.
    time = time_dimension(spec.partitions)
    model = spec.training.model
    by = model.by if isinstance(model, SequenceNetwork) else None
    out = {*IDENTITY, spec.training.target, *spec.training.exclude, spec.split.group, given}
    return [name for name in columns if name not in out | {time, by}]
