"""What waits for somebody, or for time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from factory_assets.web.pages.pipeline_state import PipelineState
from factory_resources.durations import minute


@dataclass(frozen=True)
class Wait:
    """Something that waits."""

    kind: Literal["approval", "approved", "rollout", "training"]
    pipeline: str
    version: int | None
    text: str
    role: str = ""
    """Who is asked."""
    given: frozenset[str] = frozenset()
    """Commitments to the names of those who approved already."""


def waits_of(state: PipelineState) -> list[Wait]:
    """Return what waits of one pipeline."""
    found = []
    if waiting := state.waiting:
        number, since = waiting.missing, minute(waiting.since)
        found.append(
            Wait(
                "approval",
                state.name,
                waiting.version,
                f"waits for {number} {waiting.role}{'' if number == 1 else 's'} since {since} UTC",
                waiting.role,
                waiting.given,
            )
            if number
            else Wait(
                "approved",
                state.name,
                waiting.version,
                f"has its approvals; `factory run {state.name}` lets it serve",
            )
        )
    if state.rollout:
        found.append(Wait("rollout", state.name, None, state.rollout))
    return found
