"""The base class of results, and the digest of the components that a result is computed from."""

import json
from hashlib import sha256
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from factory_resources.tracking.record import Record, damaged_record

KeyComponents = dict[str, Any]
"""Everything that could change the result of a stage, by the name of the component."""


def digest(value: object) -> str:
    """Return the SHA-256 of a value as JSON; the order of names in a mapping does not matter."""
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


class StageResult(BaseModel):
    """The result of a stage, or a part of one.

    `data_version` is a digest of everything that a later stage could read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def data_version(self) -> str:
        return sha256(self.model_dump_json().encode()).hexdigest()


R = TypeVar("R", bound=StageResult)


def expect(kind: type[R], value: StageResult) -> R:
    """Return the value, which must be of this kind."""
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value


def result_as(kind: type[R], record: Record) -> R:
    """Return the result in a record.

    Raises:
        StorageError: the record was changed and contains no such result.
    """
    try:
        return kind.model_validate(record.value)
    except ValidationError as error:
        raise damaged_record(record.name) from error
