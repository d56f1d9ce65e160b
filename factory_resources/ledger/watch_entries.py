"""The kinds of entries about watching: which alarms are open, and what was accepted as normal."""

from typing import Literal

from factory_resources.ledger.entry import Entry, Sha256


class AlarmsChanged(Entry):
    """From now on other alarms are open than before."""

    SUBJECT = "alarms/{pipeline}"

    kind: Literal["alarms"] = "alarms"
    subject: str
    pipeline: str
    version: int
    look: int
    """The number of the look."""
    report: Sha256
    """The digest of its report."""
    open: tuple[str, ...]
    """The kinds of the alarms; none if all is well."""


class ChangeAccepted(Entry):
    """A person accepted what is new: later answers are compared with the present ones."""

    SUBJECT = "accepted/{pipeline}"

    kind: Literal["accepted"] = "accepted"
    subject: str
    pipeline: str
    version: int
    look: int
    """The last look before it."""
    reason: str
