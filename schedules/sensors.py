"""The sensor of arriving files: what came or changed, and is whole, becomes one run."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import dagster as dg

from schedules.settling import Files, State, settled

_PAUSE = 30
"""Seconds between two looks, at most."""


@dataclass(frozen=True)
class Seen:
    """What lies there."""

    files: Files
    """By key of partition; of a pipeline without partitions by an empty key."""
    dynamic: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Name of dynamic partitions to key of partition to key among them."""
    problem: str = ""
    """Why nothing can be seen."""


def arrivals_sensor(
    pipeline: str,
    *,
    look: Callable[[], Seen],
    run: Callable[[Sequence[str]], dg.RunRequest],
    settle: float,
    enabled: bool,
    clock: Callable[[], float] = time.time,
) -> dg.SensorDefinition:
    """`<pipeline>_arrivals`. It runs from the start only where it is `enabled`.

    Args:
        look: sees what lies there.
        run: the run for these keys of partitions.
        settle: seconds for which a file must have kept still.
    """

    def _arrivals(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        seen = look()
        if seen.problem:
            return dg.SkipReason(seen.problem)
        whole, after = settled(seen.files, State.read(context.cursor), clock(), settle)
        if not whole:
            still = f"still being written: {', '.join(sorted(filter(None, after.waiting))[:5])}"
            return dg.SensorResult(
                skip_reason=still if after.waiting else "nothing new", cursor=after.written()
            )
        keys = sorted(filter(None, whole))
        digest = sha256("\n".join(f"{key}\0{whole[key]}" for key in sorted(whole)).encode())
        return dg.SensorResult(
            # Its key keeps a second run from the same files, whatever becomes of the cursor.
            run_requests=[run(keys)._replace(run_key=f"{pipeline}:{digest.hexdigest()[:16]}")],
            dynamic_partitions_requests=_adds(seen, keys),
            cursor=after.written(),
        )

    status = dg.DefaultSensorStatus.RUNNING if enabled else dg.DefaultSensorStatus.STOPPED
    return dg.SensorDefinition(
        name=f"{pipeline}_arrivals",
        evaluation_fn=_arrivals,
        job_name=pipeline,
        minimum_interval_seconds=max(1, min(_PAUSE, int(settle))),
        default_status=status,
        description="Runs what files need that arrived or changed.",
    )


def _adds(seen: Seen, keys: Sequence[str]) -> list[dg.AddDynamicPartitionsRequest]:
    return [
        dg.AddDynamicPartitionsRequest(name, sorted({own[key] for key in keys if key in own}))
        for name, own in seen.dynamic.items()
    ]
