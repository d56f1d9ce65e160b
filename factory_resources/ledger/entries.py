"""The kinds of entries: one small frozen model each, without raw values: names, counts, digests.

A new kind is a new class in `Kind`. `found` marks what a home contained before it had a ledger:
nobody witnessed when it happened.
"""

from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from factory_resources.ledger.factory_verify import BODY_BYTES, canonical

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Entry(BaseModel):
    """One act of the factory."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: str
    time: str = Field(
        default_factory=lambda: datetime.now(UTC).isoformat(timespec="microseconds")[:-6] + "Z"
    )
    """When the factory did it, by its own clock: UTC, ISO 8601."""

    @property
    def body(self) -> bytes:
        """The canonical bytes.

        Raises:
            ValueError: they are more than an entry may have.
        """
        body = canonical(self.model_dump(exclude_none=True))
        if len(body) > BODY_BYTES:
            raise ValueError(f"an entry of kind {self.kind} has {len(body):,} bytes")
        return body


class LedgerStarted(Entry):
    """The first entry: the name of the log, and the key that signs its checkpoints."""

    kind: Literal["ledger"] = "ledger"
    origin: str
    key: str
    """The public key as a C2SP vkey."""
    format: Literal[1] = 1


class RunStarted(Entry):
    """A run that computes something. `subject` is `run/<run id>`."""

    kind: Literal["run"] = "run"
    subject: str
    pipeline: str
    declaration: Sha256
    """The digest of the pipeline's declaration, defaults included."""


class DeclarationChanged(Entry):
    """A pipeline's declaration changed. `subject` is `declaration/<pipeline>`."""

    kind: Literal["declaration"] = "declaration"
    subject: str
    sha256: Sha256
    previous: Sha256 | None = None


class Checks(BaseModel):
    """The data checks of a stage."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    passed: int
    failed: tuple[str, ...]
    """The names of those that failed."""


class StageComputed(Entry):
    """A stage was computed. `subject` is the path of its record in the home."""

    kind: Literal["stage"] = "stage"
    subject: str
    sha256: Sha256
    """The digest of the record's file."""
    pipeline: str
    stage: str
    key: Sha256
    run: str
    partition: Sha256 | None = None
    """A commitment: SHA-256 of the record's salt and the partition's key."""
    components: dict[str, Sha256]
    """Everything that could change the result, such as code and declaration: digests by name."""
    inputs: dict[str, Sha256]
    """Upstream stage to the digest of the keys of the records that were read."""
    tables: dict[str, Sha256]
    """Table to the data version of its snapshot."""
    checks: Checks | None = None
    found: bool | None = None


class ModelTrained(Entry):
    """A model version exists. `subject` is `model/<pipeline>@<version>`."""

    kind: Literal["model_version"] = "model_version"
    subject: str
    pipeline: str
    version: int
    digest: Sha256
    """The digest of the manifest of the model's files."""
    record: str
    """The path of the record of its training."""
    found: bool | None = None


class VerdictGiven(Entry):
    """A model version was evaluated. `subject` is `verdict/<pipeline>@<version>`."""

    kind: Literal["verdict"] = "verdict"
    subject: str
    pipeline: str
    version: int
    passed: bool
    """Whether every gate was passed."""
    gates: dict[str, bool]
    record: str
    """The path of the record of the evaluation."""
    found: bool | None = None


class ModelExported(Entry):
    """A model version was exported for serving. `subject` is `export/<pipeline>@<version>`."""

    kind: Literal["export"] = "export"
    subject: str
    pipeline: str
    version: int
    graph: Sha256
    """The digest of the exported graph."""
    record: str
    """The path of the record of the deployment."""
    found: bool | None = None


class ChampionMade(Entry):
    """A model version serves from now on. `subject` is `champion/<pipeline>`."""

    kind: Literal["champion"] = "champion"
    subject: str
    pipeline: str
    version: int
    replaced: int | None = None
    """The version that served before."""
    graph: Sha256
    """The digest of the exported graph that serves."""
    record: str
    """The path of the record of the deployment."""
    found: bool | None = None


class FilesRemoved(Entry):
    """Files that nothing needed any more were removed."""

    kind: Literal["removed"] = "removed"
    paths: tuple[str, ...]
    """Paths in the home."""
    reason: str


class KeyChanged(Entry):
    """A key was added or withdrawn. `subject` is `keys/<role>`."""

    kind: Literal["key"] = "key"
    subject: str
    role: Literal["log", "witness"]
    action: Literal["added", "withdrawn"]
    key: str
    """The public key as a C2SP vkey."""


class SettingChanged(Entry):
    """The factory's settings changed. `subject` is `settings`."""

    kind: Literal["setting"] = "setting"
    subject: str
    sha256: Sha256


Kind = (
    LedgerStarted
    | RunStarted
    | DeclarationChanged
    | StageComputed
    | ModelTrained
    | VerdictGiven
    | ModelExported
    | ChampionMade
    | FilesRemoved
    | KeyChanged
    | SettingChanged
)


@cache
def _reader() -> TypeAdapter[Kind]:
    return TypeAdapter(Annotated[Kind, Field(discriminator="kind")])


def read_entry(body: bytes) -> Kind:
    """Return the entry with these bytes.

    Raises:
        pydantic.ValidationError: they are not an entry.
    """
    return _reader().validate_json(body)
