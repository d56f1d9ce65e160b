"""The sensor that starts a training when answers, outcomes or the contract give a reason.

Which reasons there are is decided elsewhere; here: not twice for the same one, not too often, and
later again after a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from factory_resources.ledger.factory_verify import amount
from factory_resources.tracking.run_history import REASON_TAG
from schedules.erasures import REASON as ERASURE
from schedules.started_trainings import (
    StartedTraining,
    broke_contract,
    next_try,
    started_trainings,
)

_PAUSE = 60
"""Minimum number of seconds between two evaluations."""

_WEEK = timedelta(days=7)

_ALARMS = ("drift", "performance")
"""How the keys of reasons begin that alarms give."""

_REMEMBERED = 500
"""Runs of the pipeline, the newest first, that tell since when a source breaks its contract."""


@dataclass(frozen=True)
class Decision:
    """What the sensor does now."""

    key: str | None
    """The run key of the training to start; None if none is to be started."""
    why: str
    reason: str = ""
    """The key of the reason."""


def decide(
    reasons: Mapping[str, str],
    trainings: Sequence[StartedTraining],
    *,
    at_most: int,
    now: datetime,
) -> Decision:
    """Return which training to start.

    Args:
        reasons: why to train now; key to a line for people.
        trainings: those that were started for a reason, of the last week at least.
        at_most: trainings a week.
    """
    if not reasons:
        return Decision(None, "there is no reason to train")
    if any(one.outcome == "unfinished" for one in trainings):
        return Decision(None, "a training goes on")
    waits, done = [], []
    for key, why in reasons.items():
        own = [one for one in trainings if _origin(one.reason) == _origin(key)]
        if any(one.outcome == "succeeded" for one in own):
            done.append(f"{why}: trained already")
            continue
        if own and (begins := next_try(own)) > now:
            failed = amount(len(own), "times")
            waits.append(f"{why}: failed {failed}, tried again {begins:%Y-%m-%d %H:%M} UTC")
            continue
        trained = [one for one in trainings if _counts(one)]
        recent = [one for one in trained if one.time > now - _WEEK]
        if len(recent) >= at_most:
            many = amount(len(recent), "trainings")
            waits.append(f"{why}: {many} this week, and no more are allowed")
            continue
        return Decision(f"{key}/{sum(one.runs for one in own) + 1}", why, key)
    return Decision(None, "; ".join(waits or done))


def _origin(reason: str) -> str:
    """Return what the alarms of one look have in common: one training is for all of them."""
    kind, _, look = reason.partition("-")
    return look if kind in _ALARMS else reason


def _counts(training: StartedTraining) -> bool:
    """Whether it is one of the trainings that a week may have; erasures start their own."""
    return training.outcome != "refused" and not training.reason.startswith(ERASURE)


def retraining_sensor(
    pipeline: str,
    *,
    reasons: Callable[[], Mapping[str, str]],
    at_most: int,
    after_contract: bool,
    enabled: bool,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> dg.SensorDefinition:
    """Return the sensor `<pipeline>_retrain`; unless `enabled`, a person has to switch it on.

    Args:
        reasons: returns why to train now; key to a line for people.
        at_most: trainings a week.
        after_contract: whether a source that broke its contract is tried again until it is whole.
        clock: returns the time, with its zone.
    """

    def _retrain(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        broken = _broken_contract(context.instance, pipeline) if after_contract else {}
        trainings = started_trainings(context.instance, pipeline)
        decision = decide({**broken, **reasons()}, trainings, at_most=at_most, now=clock())
        if decision.key is None:
            return dg.SkipReason(decision.why)
        context.log.info(decision.why)
        return dg.RunRequest(
            run_key=f"{pipeline}:{decision.key}", tags={REASON_TAG: decision.reason}
        )

    status = dg.DefaultSensorStatus.RUNNING if enabled else dg.DefaultSensorStatus.STOPPED
    return dg.SensorDefinition(
        name=f"{pipeline}_retrain",
        evaluation_fn=_retrain,
        job_name=pipeline,
        minimum_interval_seconds=_PAUSE,
        default_status=status,
        description="Starts a training when answers, outcomes or the contract give a reason.",
    )


def _broken_contract(instance: dg.DagsterInstance, pipeline: str) -> dict[str, str]:
    """Return the reason to try the source again: since when it breaks its contract."""
    runs = instance.get_run_records(dg.RunsFilter(job_name=pipeline), limit=_REMEMBERED)
    finished = [record.dagster_run for record in runs if record.dagster_run.is_finished]
    first = None
    for run in finished:
        if broke_contract(instance, pipeline, run):
            first = run.run_id
        elif not run.is_success or _trains(pipeline, run):
            break
    return {f"contract-{first[:8]}": "the source broke its contract"} if first else {}


def _trains(pipeline: str, run: dg.DagsterRun) -> bool:
    """Whether a run has more than some partitions, or the first stages: they tell nothing of all
    rows, and teach no model."""
    return not run.asset_selection or dg.AssetKey([pipeline, "train"]) in run.asset_selection
