"""The outcome of a person's decision, and the sentence that reports it.

Deciding belongs in `decisions` and `serving_acts`.
"""

from dataclasses import dataclass
from typing import Literal

from factory_resources.home.home import Home
from factory_resources.tracking.registry import Registry

Verb = Literal["approved", "refused"]


@dataclass(frozen=True)
class Decided:
    """What came of a decision."""

    number: int
    """Its entry."""
    person: str | None
    serves: bool
    """Whether the version serves because of it."""
    rolls_out: bool = False
    """Whether the version begins to be rolled out because of it."""
    missing: int = 0
    """How many approvals an approved version still lacks."""


def decided_text(pipeline: str, version: int, verb: Verb, decided: Decided, home: Home) -> str:
    """Return in a line what came of a decision."""
    said = f"{pipeline}@{version} was {verb} by {decided.person} (entry {decided.number})"
    if verb == "refused":
        return f"{said}; it will never serve"
    if decided.serves:
        return f"{said} and serves{once_resumed(pipeline, home)}"
    if decided.rolls_out:
        return f"{said} and rolls out beside the champion"
    more = "approval is" if decided.missing == 1 else "approvals are"
    return f"{said}; {decided.missing} more {more} needed" if decided.missing else said


def once_resumed(pipeline: str, home: Home) -> str:
    """Return what is still to be done before a version serves, if a person stopped the pipeline."""
    stopped = Registry(home).stopped(pipeline)
    return f", once it is resumed: factory resume {pipeline}" if stopped else ""
