"""The kinds of entries about erasures: that somebody was erased, and that it was done.

They name nobody and have no value: what was erased is in the manifest, by row number and path.
"""

from typing import Annotated, Literal

from pydantic import Field

from factory_resources.ledger.entry import Entry, Sha256, SignedAct


class ErasureBegun(SignedAct, Entry):
    """What the manifest names is erased from now on."""

    SUBJECT = "erasure/{erasure}"

    kind: Literal["erasure"] = "erasure"
    subject: str
    manifest: Sha256
    """The digest of `erasures/<id>.json`."""
    pipelines: tuple[str, ...]
    rows: int
    """Rows of sources."""
    answers: int
    """Answered requests."""
    signed: str | None = None
    """When the person signed, by their own clock: UTC, ISO 8601; None if nobody had to sign."""


class ErasureListed(Entry):
    """The manifest of an erasure must be there: runs leave out the rows that it names.

    The entries have one subject, so that whoever does not know the ids finds them all.
    """

    SUBJECT = "erasures"

    kind: Literal["erasure_listed"] = "erasure_listed"
    subject: str
    erasure: Annotated[str, Field(pattern=r"^[0-9a-z-]{1,64}$")]
    manifest: Sha256
    """As in the entry of the erasure."""


class ErasureDone(Entry):
    """Everything that was to be erased is gone, and the home was searched."""

    SUBJECT = "erasure_done/{erasure}"

    kind: Literal["erasure_done"] = "erasure_done"
    subject: str
    searched: int
    """Values that were searched for."""
    not_searched: int
    """Values that are too short to be told from others."""
    found: int
    """Places in which one of them still was."""
