"""Tag every run that is launched at the front door with its person and its entry in the ledger.

Dagster itself does so for some backfills only. Every run and backfill passes through the run
storage, whichever operation starts it. The daemon starts those of schedules in its own process.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_assets.components.run_context import REHASH_TAG, REUSE_TAG
from factory_resources.errors import RefusedError
from factory_resources.tracking.run_history import PERSON_TAG, REASON_TAG

if TYPE_CHECKING:
    from dagster import DagsterRun
    from dagster._core.execution.backfill import PartitionBackfill
    from dagster._core.storage.runs import RunStorage

ACT_TAG = "factory/act"

_OURS = "factory/"

_OF_A_PERSON = frozenset({REHASH_TAG, REUSE_TAG})
"""The tags of ours that a person may give a run; the others say what the factory found."""


@dataclass(frozen=True)
class Act:
    """What a person does now, as entered in the ledger."""

    person: str
    number: int
    """Of the entry."""

    @property
    def tags(self) -> dict[str, str]:
        """The tags of what the person starts."""
        return {PERSON_TAG: self.person, ACT_TAG: str(self.number)}


_ACT: ContextVar[Act] = ContextVar("act")


@contextmanager
def acting(act: Act) -> Iterator[None]:
    """Let runs that are created within the block be tagged with the act."""
    token = _ACT.set(act)
    try:
        yield
    finally:
        _ACT.reset(token)


def attribute_runs(storage: "RunStorage") -> None:
    """Let the storage of this process tag runs and backfills, and refuse those of no act."""
    from dagster import RunsFilter
    from dagster._core.execution.backfill import BulkActionStatus

    add_run, add_backfill = storage.add_run, storage.add_backfill
    update_backfill = storage.update_backfill

    def add_tagged_run(run: "DagsterRun") -> "DagsterRun":
        parent = run.parent_run_id
        found = storage.get_runs(RunsFilter(run_ids=[parent])) if parent else ()
        return add_run(run.with_tags(_tagged(run.tags, found[0].tags if found else {})))

    def add_tagged_backfill(backfill: "PartitionBackfill") -> None:
        add_backfill(backfill._replace(tags=_tagged(backfill.tags, {})))

    def update_tagged_backfill(backfill: "PartitionBackfill") -> None:
        if backfill.status is BulkActionStatus.REQUESTED:
            # It is resumed, by a person who need not be the one that started it.
            backfill = backfill._replace(tags=_tagged(backfill.tags, {}))
        update_backfill(backfill)

    # Dagster has no hook for all of them that knows who asks.
    for name, method in (
        ("add_run", add_tagged_run),
        ("add_backfill", add_tagged_backfill),
        ("update_backfill", update_tagged_backfill),
    ):
        setattr(storage, name, method)


def _tagged(tags: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a run with those of the act.

    A run that repeats a retraining remains one; nobody else can claim to be the factory.
    """
    act = _ACT.get(None)
    if act is None:
        raise RefusedError(
            "it is not known who starts this run", remedy="start it at the front door"
        )
    reason = inherited.get(REASON_TAG)
    kept = {
        name: value
        for name, value in tags.items()
        if not name.startswith(_OURS)
        or name in _OF_A_PERSON
        or (name == REASON_TAG and value == reason)
    }
    return kept | act.tags
