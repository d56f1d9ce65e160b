"""The values around one stage run: its request, its plan, its outcome.

The run itself belongs in `runner`.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.execution.costs import CostTotal
from factory_assets.execution.workers.local_processes import LocalProcesses
from factory_assets.results.base import KeyComponents, StageResult
from factory_assets.results.stages import STAGES, Stage
from factory_assets.spec import Partition, Pipeline
from factory_resources.home.home import Home
from factory_resources.sources.digest_cache import Hashing
from factory_resources.sql.shared_engines import SharedEngines
from factory_resources.tracking.record import Record

if TYPE_CHECKING:
    from factory_assets.data.sources.base import SourceHandle


Inputs = Mapping[Stage, StageResult]


@dataclass(frozen=True)
class StageRequest:
    """A request for the result of one stage, of one partition if the stage runs by partition."""

    pipeline: Pipeline
    stage: Stage
    home: Home
    run_id: str
    partition: Partition | None = None
    reuse: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)
    progress: Callable[[str], None] | None = None
    hashing: Hashing = field(default_factory=Hashing)
    """What is hashed although its digest is known; the partitions of a run share it."""
    engines: SharedEngines = field(default_factory=SharedEngines)
    """Those in which the partitions of a run are read."""
    workers: int = 0
    """How many processes work on the partitions of the run, and on what is independent within a
    stage; 0 if this one works alone."""
    processes: LocalProcesses = field(default_factory=LocalProcesses)
    """Those that work on this machine; some may be ready."""
    cluster: str = ""
    """`HOST:PORT` of the Ray cluster whose nodes do that; empty if this machine does."""
    sharing: int = 1
    """How many processes of the run compute at the same time, this one included."""
    storing: AbstractContextManager[object] = field(default_factory=nullcontext)
    """Held while a result is stored: the threads that wait for workers store one after another."""
    turn: Callable[[], None] | None = None
    """Returns when the partition that another worker stores before this one is stored."""
    scheduled: str | None = None
    """When its schedule meant the run to start: ISO 8601; None without a schedule."""

    @property
    def partition_key(self) -> str | None:
        return self.partition.key if self.partition else None

    def checkpoints(self, key: str) -> Path:
        """Return the folder of the checkpoints of the computation with this cache key."""
        return self.home.checkpoints / self.pipeline.name / key

    def interrupted(self, key: str) -> Path:
        """Return the file with what attempts at this computation have cost that did not end."""
        return self.checkpoints(key).with_suffix(".cost")


@dataclass(frozen=True)
class StageRun:
    """The result of a stage, and the record that holds it."""

    value: StageResult
    record: Record
    reused: bool
    changed: bool
    """Whether the latest result was a different one before."""
    version: CostTotal | None = None
    """The total cost of the model version so far; None if the stage concerns no model version."""
    warning: str | None = None
    """What a person should know, in one line."""


@dataclass(frozen=True)
class StagePlan:
    """What is known about a request before anything is computed."""

    components: KeyComponents
    record: Record | None
    """The record with this cache key, if every file that it names still exists."""
    results: Inputs
    """Upstream stage to its result."""
    inputs: Mapping[str, tuple[str, ...]]
    """Upstream stage to the cache keys of its records."""
    sources: "tuple[SourceHandle, ...]" = ()
    """The sources of `ingest`."""
    scratch: Path | None = None
    """The folder into which `ingest` may write; it may have to be made first."""


def stages_of(pipeline: Pipeline) -> tuple[Stage, ...]:
    """Return the stages of the pipeline: all six, or those up to `clean` if it has no `train`."""
    return STAGES if pipeline.spec.train else ("ingest", "clean")
