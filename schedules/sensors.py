"""The sensor of arriving files: new or changed files that are complete start one run.

Whether a file is complete belongs in `settling`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import dagster as dg
from dagster._core.storage.tags import SENSOR_NAME_TAG

from schedules.automation import waiting_run
from schedules.settling import Files, State, settle_files

_PAUSE = 30
"""Maximum number of seconds between two evaluations."""


@dataclass(frozen=True)
class ArrivalListing:
    """The files that exist now."""

    files: Files
    """By partition key; by an empty key for a pipeline without partitions."""
    dynamic: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Name of dynamic partitions to partition key to its key in that dimension."""
    problem: str = ""
    """Why the files cannot be listed."""


def arrivals_sensor(
    pipeline: str,
    *,
    look: Callable[[], ArrivalListing],
    run: Callable[[Sequence[str]], dg.RunRequest],
    settle: float,
    enabled: bool,
    clock: Callable[[], float] = time.time,
) -> dg.SensorDefinition:
    """Return the sensor `<pipeline>_arrivals`; unless `enabled`, a person has to switch it on.

    While a run of the whole pipeline waits for its turn, no other is added.

    Args:
        look: lists the files that exist now.
        run: returns the run request for these partition keys.
        settle: seconds for which a file must have remained unchanged.
        clock: returns the seconds since the epoch.
    """

    name = f"{pipeline}_arrivals"

    def _arrivals(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        seen = look()
        if seen.problem:
            return dg.SkipReason(seen.problem)
        complete, state = settle_files(seen.files, State.read(context.cursor), clock(), settle)
        if not complete:
            unfinished = ", ".join(sorted(filter(None, state.waiting))[:5])
            writing = f"still being written: {unfinished}" if unfinished else "still being written"
            reason = writing if state.waiting else "nothing new"
            return dg.SensorResult(skip_reason=reason, cursor=state.written())
        keys = sorted(filter(None, complete))
        if not keys and (waiting := waiting_run(context.instance, SENSOR_NAME_TAG, name)):
            # The cursor stays: what arrived is looked at again, in case that run is cancelled.
            return waiting
        digest = sha256("\n".join(f"{key}\0{complete[key]}" for key in sorted(complete)).encode())
        return dg.SensorResult(
            # The run key prevents a second run for the same files, even if the cursor is lost.
            run_requests=[run(keys)._replace(run_key=f"{pipeline}:{digest.hexdigest()[:16]}")],
            dynamic_partitions_requests=_additions(seen, keys),
            cursor=state.written(),
        )

    status = dg.DefaultSensorStatus.RUNNING if enabled else dg.DefaultSensorStatus.STOPPED
    return dg.SensorDefinition(
        name=name,
        evaluation_fn=_arrivals,
        job_name=pipeline,
        minimum_interval_seconds=max(1, min(_PAUSE, int(settle))),
        default_status=status,
        description="Starts a run for files that arrived or changed.",
    )


def _additions(seen: ArrivalListing, keys: Sequence[str]) -> list[dg.AddDynamicPartitionsRequest]:
    return [
        dg.AddDynamicPartitionsRequest(name, sorted({own[key] for key in keys if key in own}))
        for name, own in seen.dynamic.items()
    ]
