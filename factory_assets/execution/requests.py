"""What is asked of the runner, what it plans, and what comes of it.

The work itself belongs in `runner`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from factory_assets.execution.costs import CostTotal
from factory_assets.results.base import KeyComponents, StageResult
from factory_assets.results.stages import STAGES, Stage
from factory_assets.spec import Partition, Pipeline
from factory_resources.home.home import Home
from factory_resources.tracking.records import Record

if TYPE_CHECKING:
    from factory_assets.data.sources.base import SourceHandle


Inputs = Mapping[Stage, StageResult]


@dataclass(frozen=True)
class StageRequest:
    """One request to have a stage's value."""

    pipeline: Pipeline
    stage: Stage
    home: Home
    run_id: str
    partition: Partition | None = None
    reuse: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)
    progress: Callable[[str], None] | None = None


@dataclass(frozen=True)
class StageRun:
    """A stage's value and where it came from."""

    value: StageResult
    record: Record
    reused: bool
    changed: bool
    """Whether the latest result was another before."""
    version: CostTotal | None = None
    """What the model version has cost by now, where it was computed about one."""


@dataclass(frozen=True)
class StagePlan:
    """What is known of a call before anything is computed."""

    parts: KeyComponents
    record: Record | None
    """The record of exactly this computation, if all that it speaks of is still there."""
    compute: Callable[[], StageResult]
    inputs: Mapping[str, tuple[str, ...]]
    """Stage to the keys of the records that go in."""
    found: "tuple[SourceHandle, ...]" = ()
    """Of ingest, its sources."""


def stages_of(pipeline: Pipeline) -> tuple[Stage, ...]:
    """The stages that the pipeline has: all, or those up to `clean`."""
    return STAGES if pipeline.spec.train else ("ingest", "clean")
