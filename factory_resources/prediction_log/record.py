"""What is logged of an answered request, and its bytes.

Nothing here is decided or protected: what may be logged belongs in `protection`.
"""

from typing import Literal

import msgspec

from factory_resources.errors import StorageError

WireProtocol = Literal["plain", "oip", "mlflow", "file", "edge"]
"""How it was asked: plain JSON, Open Inference Protocol, MLflow, a scored file, another machine."""


class PredictionRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One request and what was answered."""

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
    kind: Literal["answer", "error"]
    status: int
    """The status of the answer in HTTP."""
    rows: int
    """How many rows have an id; an error may have none."""
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
    try:
        return msgspec.msgpack.decode(content, type=PredictionRecord)
    except msgspec.MsgspecError as error:
        raise StorageError(
            f"a logged prediction cannot be read ({error})",
            remedy="factory verify tells what was changed; restore the log from a backup",
        ) from error
