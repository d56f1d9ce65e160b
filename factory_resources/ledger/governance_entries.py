"""The kind of entry about a signed answer to a requirement; the text is in its statement alone."""

from typing import Literal

from factory_resources.ledger.entry import Entry, Sha256, SignedAct


class GovernanceSigned(SignedAct, Entry):
    """A person signed the answer to a requirement."""

    SUBJECT = "governance/{pipeline}/{requirement}"

    kind: Literal["governance"] = "governance"
    subject: str
    pipeline: str
    version: int
    """The version whose evidence it rests on."""
    requirement: str
    """Such as `annex-iv.2g`."""
    evidence: dict[str, Sha256]
    """What it rests on: kind of evidence, or section of `governance.yaml`, to its digest."""
    signed: str
    """When the person signed, by their own clock: UTC, ISO 8601."""
