"""The trainings that sensors started for a reason, as Dagster's history tells them.

Which reasons there are, and whether to start another one, belongs in `retraining` and `erasures`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import dagster as dg
from dagster._core.storage.tags import ROOT_RUN_ID_TAG

from factory_resources.tracking.run_history import REASON_TAG

_FIRST_WAIT = timedelta(hours=1)
"""After the first failure; each one after it waits four times as long."""

_REMEMBERED = 500
"""Runs of a pipeline that were started for a reason, the newest first."""

Outcome = Literal["succeeded", "failed", "refused", "unfinished"]
"""`refused`: the source broke its contract, so that nothing was trained."""


@dataclass(frozen=True)
class StartedTraining:
    """A run that was started for a reason, with those that repeat it: its process may have died."""

    reason: str
    time: datetime
    """Of the last of these runs."""
    outcome: Outcome
    runs: int = 1


def next_try(own: Sequence[StartedTraining]) -> datetime:
    """Return when a training that failed so often is started again."""
    wait: timedelta = _FIRST_WAIT * 4 ** (len(own) - 1)
    return max(one.time for one in own) + wait


def started_trainings(instance: dg.DagsterInstance, pipeline: str) -> list[StartedTraining]:
    """Return the trainings of a pipeline that were started for a reason, the newest first."""
    # By their tag: runs of a schedule may be many more than are remembered.
    tags = dict(instance.get_run_tags([REASON_TAG]))
    if not tags:
        return []
    of_reason = dg.RunsFilter(job_name=pipeline, tags={REASON_TAG: sorted(tags[REASON_TAG])})
    by_first = defaultdict[str, list[dg.RunRecord]](list)
    for record in instance.get_run_records(of_reason, limit=_REMEMBERED):
        run = record.dagster_run
        by_first[run.tags.get(ROOT_RUN_ID_TAG, run.run_id)].append(record)
    return [_training(instance, pipeline, records) for records in by_first.values()]


def _training(
    instance: dg.DagsterInstance, pipeline: str, records: Sequence[dg.RunRecord]
) -> StartedTraining:
    """Return the training of a run and of those that repeat it, given from the last one."""
    last = records[0]
    outcomes = [_outcome(instance, pipeline, record.dagster_run) for record in records]
    better: tuple[Outcome, ...] = ("unfinished", "succeeded")
    return StartedTraining(
        last.dagster_run.tags[REASON_TAG],
        last.create_timestamp.replace(tzinfo=UTC),
        next((one for one in better if one in outcomes), outcomes[0]),
        len(records),
    )


def _outcome(instance: dg.DagsterInstance, pipeline: str, run: dg.DagsterRun) -> Outcome:
    if run.is_success:
        return "succeeded"
    if not run.is_finished:
        return "unfinished"
    return "refused" if broke_contract(instance, pipeline, run) else "failed"


def broke_contract(instance: dg.DagsterInstance, pipeline: str, run: dg.DagsterRun) -> bool:
    """Whether the run ended because its first stage refused the source.

    It did not if somebody cancelled it meanwhile, or the factory was stopped.
    """
    if run.is_success:
        return False
    failures = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    if any(
        entry.get_dagster_event().step_failure_data.user_failure_data is None for entry in failures
    ):
        return False
    steps = {entry.step_key for entry in failures}
    # In a pipeline in partitions, all of them are read in one.
    return steps in ({f"{pipeline}__ingest"}, {f"{pipeline}__partitions"})
