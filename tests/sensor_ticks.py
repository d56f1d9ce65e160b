"""What Dagster's daemon stores of sensors, written without a daemon."""

from datetime import UTC, datetime

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from factory_resources.home.home import Home


def switch(home: Home, sensor: str, status: InstigatorStatus) -> None:
    """Store that a sensor is on or off."""
    state = _state(sensor, status)
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        if instance.get_instigator_state(state.instigator_origin_id, state.selector_id) is None:
            instance.add_instigator_state(state)
        else:
            instance.update_instigator_state(state)


def add_tick(
    home: Home, sensor: str, why: str | None = None, status: TickStatus = TickStatus.SKIPPED
) -> None:
    """Store an evaluation of a sensor that is on, and why it started no run."""
    switch(home, sensor, InstigatorStatus.RUNNING)
    state = _state(sensor, InstigatorStatus.RUNNING)
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        instance.create_tick(
            TickData(
                state.instigator_origin_id,
                sensor,
                InstigatorType.SENSOR,
                status,
                timestamp=datetime.now(UTC).timestamp(),
                run_ids=[],
                skip_reason=why,
                selector_id=state.selector_id,
            )
        )


def _state(sensor: str, status: InstigatorStatus) -> InstigatorState:
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(python_file="x"))
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), sensor)
    return InstigatorState(origin, InstigatorType.SENSOR, status, SensorInstigatorData())
