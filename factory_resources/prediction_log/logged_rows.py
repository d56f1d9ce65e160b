"""Decode the rows of a logged request (JSON objects, or columns in MessagePack) and their answers.

Values of sensitive columns have been replaced; see `protection`.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from factory_resources.errors import StorageError
from factory_resources.prediction_log.record import PredictionRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray


LOGGED_REGIONS: Mapping[str, str] = MappingProxyType(
    {"set": "sets", "interval": "intervals", "abstained": "abstained"}
)
"""The fields of an answer about its uncertainty: name in the answer to name in the log."""


def logged_rows(record: PredictionRecord) -> list[Mapping[str, Any]]:
    """Return the rows of a request; none if it was refused.

    Raises:
        StorageError: they cannot be read.
    """
    if not record.input:
        return []
    try:
        if record.input[:1] == b"[":
            return objects_logged(record.input)
        columns = columns_logged(record.input)
    except (msgspec.MsgspecError, LookupError, ValueError, TypeError) as error:
        raise unreadable_rows(error) from error
    return [*_as_rows(columns)]


def objects_logged(content: bytes) -> list[Mapping[str, Any]]:
    """Return rows that were logged as JSON.

    Raises:
        msgspec.MsgspecError, ValueError: they cannot be read.
    """
    try:
        return msgspec.json.decode(content, type=list[Mapping[str, Any]])
    except msgspec.DecodeError:
        # Older packs wrote NaN and unpaired surrogates unchanged.
        lenient = json.loads(content, parse_constant=str.lower)
        text = json.dumps(lenient, ensure_ascii=False)
        return msgspec.json.decode(text.encode("utf-8", "replace"), type=list[Mapping[str, Any]])


def answered_places(content: Mapping[str, Any]) -> dict[int, int]:
    """Return the index of each answered row in the outputs, by the number of the row.

    Args:
        content: the decoded `output` of a record of an answer or of a shadow.
    """
    rows = content.get("rows", range(len(content["predictions"])))
    return {row: place for place, row in enumerate(rows)}


def answered_rows(record: PredictionRecord) -> Collection[int]:
    """Return the numbers of the rows of an answered request that got an answer.

    Raises:
        StorageError: they cannot be read.
    """
    try:
        found = msgspec.json.decode(record.output, type=_Answered).rows
    except msgspec.MsgspecError as error:
        raise unreadable_rows(error) from error
    return range(record.rows) if found is None else frozenset(found)


class _Answered(msgspec.Struct):
    """The field of an output that lists its rows, decoded without the answers."""

    rows: list[int] | None = None


def logged_outputs(record: PredictionRecord) -> dict[int, Any]:
    """Return the probabilities, or the prediction, of each row that got an answer, by its number.

    Raises:
        StorageError: they cannot be read.
    """
    try:
        content = msgspec.json.decode(record.output, type=dict[str, Any])
        outputs = content.get("probabilities", content["predictions"])
        return {row: outputs[place] for row, place in answered_places(content).items()}
    except (msgspec.MsgspecError, LookupError, TypeError) as error:
        raise unreadable_rows(error) from error


def unreadable_rows(error: Exception) -> StorageError:
    """Return the error of a record whose rows or answers cannot be decoded."""
    return StorageError(
        f"the rows of a logged prediction cannot be read ({error})",
        remedy="factory verify shows what was changed; restore the log from a backup",
    )


def _as_rows(columns: Mapping[str, list[Any]]) -> Iterator[Mapping[str, Any]]:
    for cells in zip(*columns.values(), strict=True):
        yield dict(zip(columns, cells, strict=True))


def columns_logged(content: bytes) -> dict[str, list[Any]]:
    """Return columns that were logged as arrays, as lists with None for missing values."""
    import numpy as np

    found = msgspec.msgpack.decode(content)
    arrays = {
        name: plain_cells(np.frombuffer(values, dtype))
        for name, (dtype, values) in found["arrays"].items()
    }
    return {**arrays, **found["lists"]}


def plain_cells(values: "NDArray[Any]") -> list[Any]:
    """Return the values of an array, None for NaN."""
    return [None if value != value else value for value in values.tolist()]
