"""What every entry of the ledger has. The kinds belong in `entries`."""

from datetime import UTC, datetime
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def entry_time(moment: datetime) -> str:
    """Return a moment in UTC as entries have it, in ISO 8601."""
    return f"{moment.isoformat(timespec='microseconds')[:-6]}Z"


class Entry(BaseModel):
    """One act of the factory."""

    # A run in which nothing changed reads one kind of entry, and need not build the others.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    SUBJECT: ClassVar[str]
    """What an entry of this kind is looked up by; kinds without one are not looked up."""

    kind: str
    time: str = Field(default_factory=lambda: entry_time(datetime.now(UTC)))
    """When the factory did it, by its own clock: UTC, ISO 8601."""

    @classmethod
    def subject_of(cls, **names: str | int) -> str:
        """Return what the entries of this kind about something are looked up by."""
        return cls.SUBJECT.format(**names)

    @property
    def body(self) -> bytes:
        """The canonical bytes.

        Raises:
            ValueError: they are more than an entry may have.
        """
        from factory_resources.ledger.factory_verify import BODY_BYTES, canonical

        body = canonical(self.model_dump(exclude_none=True))
        if len(body) > BODY_BYTES:
            raise ValueError(f"an entry of kind {self.kind} has {len(body):,} bytes")
        return body


class VersionEntry(Entry):
    """An entry about a model version."""

    subject: str
    pipeline: str
    version: int
    record: str
    """The path of the record of the stage that did it."""
    found: bool | None = None


class SignedAct(BaseModel):
    """What an entry says of the person who decided, and of the statement with their reason.

    The statement is a file of its own: the ledger has neither the name nor the reason.
    """

    statement: Sha256 | None = None
    """The digest of the statement's file."""
    person: Sha256 | None = None
    """A commitment to the name of the person who signed it."""
    key: str | None = None
    """The public key of the signature, as in `people.yaml`."""
