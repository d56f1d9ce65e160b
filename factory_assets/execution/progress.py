"""Who wants to know how a run is going: the terminal, or only Dagster's own log."""

from dataclasses import dataclass

from factory_assets.execution.costs import CostTotal
from factory_assets.execution.requests import StageRun
from factory_assets.results.stages import Stage
from factory_resources.errors import FactoryError


@dataclass(frozen=True)
class Counted:
    """What became of one stage of all partitions of a run."""

    computed: int
    reused: int
    absent: int
    """How many have no data yet."""
    made: CostTotal
    """What was computed has cost."""
    saved: CostTotal
    """What was reused had cost."""


class Progress:
    """Told about each stage as it happens; this one keeps silent.

    A resource, so that a caller can listen.
    """

    def started(self, pipeline: str, stage: Stage) -> None:
        """A stage begins."""

    def step(self, message: str) -> None:
        """Something within the stage, such as an epoch."""

    def warned(self, pipeline: str, stage: Stage, message: str) -> None:
        """A stage has its value, and there is something that a person should know."""

    def finished(self, pipeline: str, stage: Stage, outcome: StageRun) -> None:
        """A stage has its value, computed or reused."""

    def counted(self, pipeline: str, stage: Stage, count: Counted) -> None:
        """A stage that runs by partition has run in all that a run is about."""

    def failed(self, pipeline: str, stage: Stage, error: FactoryError) -> None:
        """A stage cannot have a value, for a reason that a person can act on."""
