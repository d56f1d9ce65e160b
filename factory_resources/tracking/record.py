"""The record of one computed stage. Storing and finding records belongs in `records`."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from factory_resources.errors import StorageError


class Record(BaseModel):
    """One computed stage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pipeline: str
    stage: str
    partition: str | None = None
    key: str
    """Digest of `parts`."""
    parts: dict[str, Any] = {}
    """Everything that could change the result: code, declaration, inputs, libraries."""
    inputs: dict[str, tuple[str, ...]] = {}
    """Stage to the keys of the records whose values were used, one per partition."""
    value: dict[str, Any]
    data_version: str
    run_id: str
    """The run that computed it."""
    seconds: float
    """Wall time of the computation."""
    megabytes: float
    """Peak resident memory of the process so far."""
    cpu_seconds: float | None = None
    """CPU time of the process and its descendants; None in records from before it was measured."""
    wh: float = 0.0
    """Energy of the computation."""
    method: str = ""
    """How the energy was determined."""
    grid: float | None = None
    """Grams of CO2e per kWh; None in records from before it was stored."""
    finished: str
    """UTC, ISO 8601."""
    salt: str = ""
    """Random, hexadecimal: what the ledger says of the partition cannot be guessed without it;
    empty in records from before there was a ledger."""
    commits: dict[str, str] = {}
    """Newest commit in the log of each table when the record was stored, to its SHA-256; empty in
    records from before it was stored."""

    @property
    def name(self) -> str:
        """Its file in the home."""
        return f"records/{self.pipeline}/{self.stage}/{self.key}.json"

    @property
    def co2e(self) -> float | None:
        """Grams of CO2e; None if `grid` is None."""
        return None if self.grid is None else self.wh * self.grid / 1000


def damaged_record(where: str) -> StorageError:
    return StorageError(
        "the record is damaged", where=where, remedy="delete it to run the stage again"
    )
