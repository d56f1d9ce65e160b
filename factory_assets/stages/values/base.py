"""What all values have in common."""

from hashlib import sha256

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """The result of a stage. `data_version` is a digest of all a later stage could read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def data_version(self) -> str:
        return sha256(self.model_dump_json().encode()).hexdigest()
