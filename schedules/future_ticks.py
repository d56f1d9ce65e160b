"""What schedules and sensors have done by a clock that was ahead, and has been set right since.

For Dagster, nothing is due until the last time at which they looked, which lies in the future.
"""

from typing import Any

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick

_AHEAD = 60.0
"""Seconds: what is further in the future was done by a clock that was ahead."""


def end_future(instance: dg.DagsterInstance, now: float) -> None:
    """Let what schedules and sensors have done in the future count as done now.

    Args:
        now: in seconds since the epoch.
    """
    for state in instance.all_instigator_state():
        ids = state.instigator_origin_id, state.selector_id
        for tick in instance.get_ticks(*ids, after=now + _AHEAD):
            moved = tick.tick_data._replace(timestamp=now)
            instance.update_tick(InstigatorTick(tick.tick_id, moved))
        _end_future_of(instance, state, now)


def _end_future_of(instance: dg.DagsterInstance, state: InstigatorState, now: float) -> None:
    # That of schedules has other times than that of sensors.
    data: Any = state.instigator_data
    if data is None:
        return
    times = {name: time for name, time in data._asdict().items() if name.endswith("_timestamp")}
    future = [name for name, time in times.items() if time is not None and time > now + _AHEAD]
    if future:
        moved = data._replace(**dict.fromkeys(future, now))
        instance.update_instigator_state(state.with_data(moved))
