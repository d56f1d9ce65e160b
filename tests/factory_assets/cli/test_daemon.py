"""What the factory's daemon does otherwise than Dagster's."""

import logging
import os
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec, module_from_spec
from unittest.mock import Mock

import dagster._daemon.controller  # noqa: F401 - the module of schedules cannot be the first
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
)

from factory_assets.cli.daemon import keep_switches


def test_a_schedule_stays_switched_off_while_its_pipeline_is_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "environ", {**os.environ})
    keep_switches()
    found = find_spec("dagster._scheduler.scheduler")
    assert found is not None
    assert found.loader is not None
    scheduler = module_from_spec(found)
    found.loader.exec_module(scheduler)
    now = datetime.now(UTC)
    location = RegisteredCodeLocationOrigin("factory")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "all"), "apples_schedule")
    data = ScheduleInstigatorData(
        "0 2 * * *", last_iteration_timestamp=(now - timedelta(days=3)).timestamp()
    )
    state = InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.STOPPED, data)
    workspace, entry = Mock(), Mock(origin=location)
    workspace.instance.all_instigator_state.return_value = [state]
    entry.code_location.get_repositories.return_value = {}
    entries = workspace.create_request_context.return_value.get_code_location_entries
    entries.return_value = {"factory": entry}
    [*_] = scheduler.launch_scheduled_runs(workspace, logging.getLogger(), now, {})
    workspace.instance.delete_instigator_state.assert_not_called()
