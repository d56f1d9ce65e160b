"""The interface through which a run reports its progress.

The terminal's implementation belongs in `cli.progress`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from factory_assets.execution.costs import CostTotal
from factory_assets.execution.requests import StageRun
from factory_assets.results.stages import Stage
from factory_resources.errors import FactoryError


@dataclass(frozen=True)
class Counted:
    """One stage counted over all partitions of a run."""

    computed: int
    reused: int
    absent: int
    """Partitions without data yet."""
    gone: Sequence[str]
    """The keys of stored partitions whose files are there no more."""
    impossible: Sequence[str]
    """What names of files have in place of a key, and no key can be."""
    made: CostTotal
    """The cost of what was computed."""
    saved: CostTotal
    """The former cost of what was reused."""


class Progress:
    """Receives each event of a run; this implementation ignores them.

    A Dagster resource, so that a caller can supply its own.
    """

    def started(self, pipeline: str, stage: Stage) -> None:
        """A stage starts."""

    def step(self, message: str) -> None:
        """A step within the stage is done, such as an epoch."""

    def warned(self, pipeline: str, stage: Stage, message: str) -> None:
        """A stage has a result that a person should look at."""

    def finished(self, pipeline: str, stage: Stage, outcome: StageRun) -> None:
        """A stage has its result, computed or reused."""

    def counted(self, pipeline: str, stage: Stage, count: Counted) -> None:
        """A partitioned stage has run in all partitions of the run."""

    def failed(self, pipeline: str, stage: Stage, error: FactoryError) -> None:
        """A stage has failed for a reason that a person can act on."""
