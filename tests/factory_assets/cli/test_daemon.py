"""What the factory's daemon does otherwise than Dagster's."""

import logging
import os
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec, module_from_spec
from unittest.mock import Mock

import dagster as dg
import dagster._daemon.controller
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

from factory_assets.cli.daemon import keep_places, keep_switches


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


def test_a_declared_schedule_keeps_its_place_only_while_its_pipeline_is_broken() -> None:
    workspace = Mock()
    delete = workspace.instance.delete_instigator_state
    entries = workspace.create_request_context.return_value.get_code_location_entries
    location, repository = Mock(), Mock()
    entries.return_value = {"factory": location, "not loaded": Mock(code_location=None)}
    location.code_location.get_repositories.return_value = {"all": repository}
    keys = [["apples", "broken"], ["pears", "ingest"], ["broken", "clean"], ["shop", "x", "broken"]]
    repository.asset_graph.get_all_asset_keys.return_value = {dg.AssetKey(key) for key in keys}
    keep_places(workspace)
    for name in ("apples", "apples_monitor", "pears", "applesauce", "broken", "shop"):
        state = Mock(instigator_name=f"{name}_schedule")
        workspace.instance.get_instigator_state.return_value = state
        workspace.instance.delete_instigator_state("origin", name)
    workspace.instance.get_instigator_state.return_value = None
    workspace.instance.delete_instigator_state("origin", "gone")
    deleted = [call.args[1] for call in delete.call_args_list]
    assert deleted == ["pears", "applesauce", "broken", "shop", "gone"]
