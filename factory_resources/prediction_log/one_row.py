"""Decode one row of a logged request, without the others and without NumPy.

Decoding all rows of a request belongs in `logged_rows`.
"""

import struct
from collections.abc import Mapping
from typing import Any

import msgspec

from factory_resources.prediction_log.logged_rows import objects_logged, unreadable_rows
from factory_resources.prediction_log.record import PredictionRecord

_CODES = {
    **{"f2": "e", "f4": "f", "f8": "d", "b1": "?"},
    **{"i1": "b", "i2": "h", "i4": "i", "i8": "q"},
    **{"u1": "B", "u2": "H", "u4": "I", "u8": "Q"},
}
"""Kind and size of a value in NumPy's notation to its format character for `struct`."""


def logged_row(record: PredictionRecord, row: int) -> Mapping[str, Any] | None:
    """Return a row of a request; None if the request was refused.

    Args:
        row: its number, from 0.

    Raises:
        StorageError: it cannot be read.
    """
    if not record.input:
        return None
    try:
        if record.input[:1] == b"[":
            rows = objects_logged(record.input)
            return rows[row] if rows else None
        found = msgspec.msgpack.decode(record.input)
        arrays = {
            name: _cell(dtype, content, row) for name, (dtype, content) in found["arrays"].items()
        }
        return {**arrays, **{name: cells[row] for name, cells in found["lists"].items()}}
    except (msgspec.MsgspecError, LookupError, ValueError, TypeError, struct.error) as error:
        raise unreadable_rows(error) from error


def _cell(dtype: str, content: bytes, row: int) -> Any:
    """Return a value of an array, None for NaN.

    Args:
        dtype: as NumPy writes it, such as `<f8`.
    """
    order = ">" if dtype[0] == ">" else "<"
    code = _CODES[dtype[1:]]
    [value] = struct.unpack_from(f"{order}{code}", content, row * int(dtype[2:]))
    return None if value != value else value
