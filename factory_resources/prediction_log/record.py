"""The record of an answered request, and its bytes.

Which values may be logged in the clear is decided in `protection`.
"""

from typing import Literal, TypeVar

import msgspec

from factory_resources.errors import StorageError

R = TypeVar("R", bound=msgspec.Struct)

WireProtocol = Literal["plain", "oip", "mlflow", "file", "edge"]
"""How a request came: as plain JSON, by the Open Inference Protocol or MLflow's, as a scored file,
or from a pack on another machine."""


class RecordHead(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The first fields of a record, which can be read without its rows."""

    time: int
    """When it arrived, in microseconds since 1970."""
    duration: int
    """How long the answer took, in microseconds."""
    pipeline: str
    version: int
    """The version of the model that answered."""
    caller: str
    """The name of the caller's token; empty if there was none."""
    protocol: WireProtocol
    kind: Literal["answer", "error", "shadow"]
    """`shadow`: a version that is being rolled out computed it, but no caller got it; its `output`
    names the id of the answer that the caller got as `shadow_of`."""
    status: int
    """The HTTP status of the answer."""
    rows: int
    """How many rows have an id; an error and what a shadow computed have none."""


class PredictionRecord(RecordHead, array_like=True, frozen=True, gc=False):
    """One request and what was answered."""

    input: bytes
    """The rows asked about, as JSON; sensitive values are replaced."""
    output: bytes
    """What was answered, as JSON."""


def encode(record: PredictionRecord) -> bytes:
    """Return the bytes of a record, in MessagePack."""
    return msgspec.msgpack.encode(record)


def decode(content: bytes) -> PredictionRecord:
    """Return the record with these bytes.

    Raises:
        StorageError: they are not a record.
    """
    return _decoded(content, PredictionRecord)


def decode_head(content: bytes) -> RecordHead:
    """Return the first fields of the record with these bytes; its rows are not copied.

    Raises:
        StorageError: they are not a record.
    """
    return _decoded(content, RecordHead)


def _decoded(content: bytes, kind: type[R]) -> R:
    try:
        return msgspec.msgpack.decode(content, type=kind)
    except msgspec.MsgspecError as error:
        raise StorageError(
            f"a logged prediction cannot be read ({error})",
            remedy="factory verify shows what was changed; restore the log from a backup",
        ) from error
