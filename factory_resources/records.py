"""What each stage has computed, by the key of all that went into it: the memory of reuse.

One JSON file a record, added and never changed, and one pointer a stage to its latest record.
What a record's value means is the stages' business.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from factory_resources.errors import StorageError
from factory_resources.home import Home


class Record(BaseModel):
    """One computed stage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pipeline: str
    stage: str
    key: str
    """Digest of all that could change the result: code, declaration, inputs, libraries."""
    value: dict[str, Any]
    data_version: str
    run_id: str
    """The run that computed it."""
    seconds: float
    """Wall time of the computation."""
    megabytes: float
    """Peak resident memory of the process by then."""
    finished: str
    """UTC, ISO 8601."""


class Records:
    """The records of one home."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def find(self, pipeline: str, stage: str, key: str) -> Record | None:
        """The record of exactly this computation, if it was ever finished."""
        path = self._home.records / pipeline / stage / f"{key}.json"
        if not path.is_file():
            return None
        try:
            return Record.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise StorageError(
                "the record is damaged", where=str(path), remedy="delete it; the stage runs again"
            ) from error

    def latest(self, pipeline: str, stage: str) -> Record | None:
        """The record that the stage's last run made or reused."""
        pointer = self._home.records / pipeline / f"{stage}.json"
        if not pointer.is_file():
            return None
        return self.find(pipeline, stage, json.loads(pointer.read_bytes())["key"])

    def used(self, pipeline: str, run_id: str) -> dict[str, str]:
        """Stage to the key of the record that a run made or reused."""
        path = self._run(pipeline, run_id)
        keys: dict[str, str] = json.loads(path.read_bytes()) if path.is_file() else {}
        return keys

    def save(self, record: Record) -> None:
        """Keep the record."""
        folder = self._home.records / record.pipeline / record.stage
        content = record.model_dump_json(indent=1).encode()
        self._home.write_atomic(folder / f"{record.key}.json", content)

    def point(self, record: Record, run_id: str) -> None:
        """Make the record the stage's latest, and the one that a run works with."""
        keys = {**self.used(record.pipeline, run_id), record.stage: record.key}
        self._home.write_atomic(
            self._run(record.pipeline, run_id), json.dumps(keys, indent=1).encode()
        )
        pointer = self._home.records / record.pipeline / f"{record.stage}.json"
        content = json.dumps({"key": record.key}).encode()
        if not pointer.is_file() or pointer.read_bytes() != content:
            self._home.write_atomic(pointer, content)

    def _run(self, pipeline: str, run_id: str) -> Path:
        return self._home.records / pipeline / "runs" / f"{run_id}.json"
