"""What waits for somebody, or for time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from factory_assets.web.pages.pipeline_state import PipelineState
from factory_resources.durations import minute
from factory_resources.home.home import Home
from factory_resources.tracking.run_history import skip_reasons

_NO_MATTER = ("there is no reason to train", "a training goes on", ": trained already")
"""How what the sensor of retraining says ends if nothing was put off."""


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


def trainings_put_off(states: Iterable[PipelineState], home: Home) -> list[Wait]:
    """Return the trainings that do not start although there is a reason for them.

    Raises:
        StorageError: Dagster's database cannot be read.
    """
    retrained = [state.name for state in states if state.retrains]
    reasons = skip_reasons(home) if retrained else {}
    said = ((name, reasons.get(f"{name}_retrain", "")) for name in retrained)
    return [
        Wait("training", name, None, f"training put off: {why}")
        for name, why in said
        if why and not why.endswith(_NO_MATTER)
    ]
