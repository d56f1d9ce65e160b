"""The kind of entry about the boundary of a process that ran pipelines, made outside of it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from factory_resources.ledger.entry import Entry, Sha256

BoundaryLevel = Literal["namespaces", "seccomp", "none"]
"""How much holds: everything; no internet at all, but daemons of this machine; nothing."""


class AddressTraffic(BaseModel):
    """What passed through one allowed address, in bytes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    connections: int
    sent: int
    """Bytes from inside to the address."""
    received: int
    """Bytes from the address to inside."""


class BoundaryHeld(Entry):
    """A process that ran pipelines has ended; this is what it could reach, and did."""

    SUBJECT = "boundary/{report}"

    kind: Literal["boundary"] = "boundary"
    subject: str
    level: BoundaryLevel
    reason: str
    """Why it is not `namespaces`; empty if it is."""
    allowed: dict[str, AddressTraffic]
    """By address."""
    exit_code: int
    report: Sha256
    """The digest of the report."""
