"""What the factory's daemon does otherwise than Dagster's."""

import logging
import os
import time
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec, module_from_spec
from pathlib import Path
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

from factory_assets.cli.daemon import keep_places, keep_switches, reloading
from factory_assets.web.dagster.code_server import reload_request
from tests.pipelines import APPLES, declare
from tests.waiting import wait_until


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


def workspace_of(*keys: list[str]) -> Mock:
    """Return a workspace with assets of these keys."""
    workspace, location, repository = Mock(), Mock(), Mock()
    entries = workspace.create_request_context.return_value.get_code_location_entries
    entries.return_value = {"factory": location, "not loaded": Mock(code_location=None)}
    location.code_location.get_repositories.return_value = {"all": repository}
    repository.asset_graph.get_all_asset_keys.return_value = {dg.AssetKey(key) for key in keys}
    return workspace


def test_a_declared_schedule_keeps_its_place_only_while_its_pipeline_is_broken() -> None:
    workspace = workspace_of(
        ["apples", "broken"], ["pears", "ingest"], ["broken", "clean"], ["shop", "x", "broken"]
    )
    delete = workspace.instance.delete_instigator_state
    keep_places(workspace)
    for name in ("apples", "apples_monitor", "pears", "applesauce", "broken", "shop"):
        state = Mock(instigator_name=f"{name}_schedule")
        workspace.instance.get_instigator_state.return_value = state
        workspace.instance.delete_instigator_state("origin", name)
    workspace.instance.get_instigator_state.return_value = None
    workspace.instance.delete_instigator_state("origin", "gone")
    deleted = [call.args[1] for call in delete.call_args_list]
    assert deleted == ["pears", "applesauce", "broken", "shop", "gone"]


def test_a_broken_pipeline_is_loaded_once_the_table_that_it_names_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    table, code = tmp_path / "carbon.yaml", tmp_path / "code.sock"
    table.write_text(f"source: a guess\ndaily: {[100] * 24}\n")
    schedule = {"within": "22:00-06:00", "prefer": "lowest_carbon", "carbon": {"file": str(table)}}
    for name in ("apples", "pears"):
        declare(tmp_path / name, {**APPLES, "schedule": schedule})
    right, request = table.read_text(), reload_request(code)
    with reloading(workspace_of(["apples", "broken"], ["pears", "ingest"]), code, 0.01):
        for _ in range(2):
            table.write_text("daily: [1, 2")
            time.sleep(0.2)
            request.unlink(missing_ok=True)
            time.sleep(0.1)
            assert not request.exists()
            table.write_text(right)
            wait_until(request.exists)
        request.unlink()
        time.sleep(0.1)
        assert not request.exists(), "what does not load for another reason would not again"
