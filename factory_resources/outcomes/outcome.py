"""Outcomes: what turned out to be true of an answered row, and what sending another one means.

Which values a target may have belongs in `target_values`; storing outcomes, in `store`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Source = Literal["http", "file", "table", "snapshot"]
"""How an outcome was sent."""

Decision = Literal["recorded", "repeated", "corrected"]
"""How an outcome compares with those recorded before: the first one of its row, known already, or
another value."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """An outcome that was sent, and is not recorded yet."""

    id: bytes
    """Of the answered row, 16 bytes."""
    pipeline: str
    value: str
    """As JSON: the name of a class as a string, or a number. It is in the clear even if the target
    is sensitive, since answers cannot be judged without it: hide it where outcomes are shown."""
    observed: int | None
    """When it turned out, in microseconds since 1970; None for now."""
    source: Source
    caller: str
    """The name of the caller's token; empty if there was none."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An outcome that was recorded."""

    number: int
    """Outcomes are counted from 1, in the order in which they were recorded."""
    id: bytes
    pipeline: str
    value: str
    observed: int
    recorded: int
    """When it was recorded, in microseconds since 1970."""
    source: Source
    caller: str


def decide(history: Sequence[Outcome], sent: Feedback) -> Decision:
    """Return how an outcome compares with the recorded ones of its row, oldest first.

    An outcome with a time is known if its sender recorded the same value with the same time before,
    even if it was corrected since: a request that is sent again changes nothing.
    """
    if not history:
        return "recorded"
    if history[-1].value == sent.value:
        return "repeated"
    return "repeated" if any(_is_same_statement(one, sent) for one in history) else "corrected"


def _is_same_statement(one: Outcome, sent: Feedback) -> bool:
    return (one.value, one.observed, one.source, one.caller) == (
        sent.value,
        sent.observed,
        sent.source,
        sent.caller,
    )
