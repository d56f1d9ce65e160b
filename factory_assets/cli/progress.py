"""Show the progress of a run on the terminal, and collect the outcome of each stage."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from factory_assets.execution.backfill import Wanted
from factory_assets.execution.costs import CostTotal
from factory_assets.execution.progress import Counted, Progress
from factory_assets.execution.requests import StageRun
from factory_assets.results.stages import Stage
from factory_assets.spec.partitions import wrong_key
from factory_resources.durations import minute
from factory_resources.errors import FactoryError
from factory_resources.ledger.factory_verify import amount

_SHOWN = 5
"""How many keys a line names."""


@dataclass
class TerminalProgress(Progress):
    """Prints the events of one run of one pipeline, and keeps its outcomes for the summary."""

    console: Console
    status: Any
    outcomes: dict[Stage, StageRun] = field(default_factory=dict)
    counts: dict[Stage, Counted] = field(default_factory=dict)
    error: FactoryError | None = None

    def started(self, pipeline: str, stage: Stage) -> None:
        self.status.update(f"{pipeline} · {stage}")

    def step(self, message: str) -> None:
        self.status.update(message)

    def finished(self, pipeline: str, stage: Stage, outcome: StageRun) -> None:
        self.outcomes[stage] = outcome
        result = "reused" if outcome.reused else f"{outcome.record.seconds:.1f} s"
        self._print(pipeline, stage, result)

    def warned(self, pipeline: str, stage: Stage, message: str) -> None:
        text = f"{pipeline} · {stage:<8}  warning: {message}"
        self.console.print(text, highlight=False, markup=False, soft_wrap=True, style="yellow")

    def counted(self, pipeline: str, stage: Stage, count: Counted) -> None:
        self.counts[stage] = count
        parts = [f"{count.computed} computed in {count.made.seconds:.1f} s"] * bool(count.computed)
        parts += [f"{count.reused} reused"] * bool(count.reused)
        self._print(pipeline, stage, ", ".join(parts) or "nothing to do")
        for line in lines_of_missing(count) if stage == "ingest" else ():
            self._print(pipeline, "", line)

    def unchanged(self, pipeline: str, since: str) -> None:
        """Say that the results of a pipeline stand, the newest of them `since` (UTC, ISO 8601)."""
        self._print(pipeline, "", f"nothing changed since {minute(since)} UTC")

    def failed(self, pipeline: str, stage: Stage, error: FactoryError) -> None:
        self.error = error

    @property
    def reused(self) -> int:
        """The number of stages that computed nothing."""
        unpartitioned = sum(outcome.reused for outcome in self.outcomes.values())
        return unpartitioned + sum(not count.computed for count in self.counts.values())

    @property
    def made(self) -> CostTotal:
        """The cost of the computed stages."""
        records = [o.record for o in self.outcomes.values() if not o.reused]
        return CostTotal.of(records).plus(*(count.made for count in self.counts.values()))

    @property
    def saved(self) -> CostTotal:
        """The former cost of the reused stages."""
        records = [o.record for o in self.outcomes.values() if o.reused]
        return CostTotal.of(records).plus(*(count.saved for count in self.counts.values()))

    def _print(self, pipeline: str, stage: str, text: str) -> None:
        self.console.print(f"{pipeline} · {stage:<8}  {text}", highlight=False, markup=False)


def lines_of_missing(found: Counted | Wanted) -> Iterator[str]:
    """Yield what a person should know of partitions without files, and of files without one."""
    if found.absent:
        has = "partition has" if found.absent == 1 else "partitions have"
        yield f"{found.absent} {has} no data yet"
    if found.gone:
        yield (
            f"the files of {amount(len(found.gone), 'stored partitions')} are gone "
            f"({_listed(found.gone)}); the rows stay unless `exclude` names the partition"
        )
    if found.impossible:
        first, keys = found.impossible[0], _listed([*map(repr, found.impossible)])
        yield (
            f"files of {amount(len(found.impossible), 'keys')} are not read ({keys}): {first!r} "
            f"{wrong_key(first)}; rename them"
        )


def _listed(keys: Sequence[str]) -> str:
    return ", ".join(keys[:_SHOWN]) + ", …" * (len(keys) > _SHOWN)
