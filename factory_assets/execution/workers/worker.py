"""What a worker is: who decides whether a stage must be computed, and computes it.

It changes nothing that others can see. The worker that is this process is `computation.work_here`,
those that are other processes are in `worker_process`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from factory_assets.execution.requests import StagePlan, StageRequest
from factory_assets.results.base import KeyComponents, StageResult
from factory_resources.metering.meter import Cost
from factory_resources.tracking.record import Record


@dataclass(frozen=True)
class ReusableStage:
    """A stage that needs no computation."""

    record: Record
    warnings: tuple[str, ...] = ()
    """What a person should know, each in one line."""


@dataclass(frozen=True)
class ComputedStage:
    """A stage that was computed and has no record yet."""

    value: StageResult
    components: KeyComponents
    """Those of the cache key, with what the user's code loaded."""
    planned_key: str
    """The cache key before the computation; the checkpoints have its name."""
    inputs: Mapping[str, tuple[str, ...]]
    """Upstream stage to the cache keys of its records."""
    cost: Cost
    warnings: tuple[str, ...] = ()
    """What a person should know, each in one line."""


Worker = Callable[[StageRequest, Callable[[StagePlan], None]], ReusableStage | ComputedStage]
"""Works on a request; calls the second argument with the plan before it computes anything."""
