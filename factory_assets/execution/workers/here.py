"""The worker that is this process: decide whether a stage must be computed, and compute it.

It changes nothing that others can see. What is stored afterwards belongs in `runner`; workers that
are other processes belong in `process_pool`.
"""

import gc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from shutil import rmtree

from factory_assets.execution.computation import compute
from factory_assets.execution.disk_watermark import require_disk_space
from factory_assets.execution.loaded_components import actual_components
from factory_assets.execution.plan import plan_stage
from factory_assets.execution.requests import StagePlan, StageRequest
from factory_assets.results.base import KeyComponents, StageResult, digest
from factory_resources.metering.meter import Cost, Meter, Rates
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


def work_here(
    call: StageRequest, planned: Callable[[StagePlan], None]
) -> ReusableStage | ComputedStage:
    """Compute the stage in this process, or find the record that it can reuse.

    Raises:
        FactoryError: the stage rejects the data or the declaration.
    """
    with plan_stage(call) as plan:
        if call.reuse and plan.record:
            return ReusableStage(plan.record)
        planned(plan)
        gc.enable()
        require_disk_space(call.home, call.run_id)
        key = digest(plan.components)
        if not call.reuse:
            rmtree(call.checkpoints(key), ignore_errors=True)
        with Meter(Rates.from_env(), sharing=max(1, call.workers)) as meter:
            value = compute(call, plan)
            cost = meter.read()
        components = actual_components(call, plan.components)
        return ComputedStage(value, components, key, plan.inputs, cost)
