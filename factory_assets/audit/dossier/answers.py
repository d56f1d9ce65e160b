"""What people answered to the questions that only a person can answer."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class PersonAnswer:
    """The answer to the question of one requirement."""

    state: Literal["open", "signed", "stale"]
    """`open`: nobody has signed it; `stale`: it, or what it rests on, has changed since."""
    text: str = ""
    by: str = ""
    """The name of the person who signed it."""
    signed: str = ""
    """When: UTC, ISO 8601."""
    changed: tuple[str, ...] = ()
    """What has changed since, in words."""


OPEN = PersonAnswer("open")
