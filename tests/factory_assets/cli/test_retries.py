"""A run whose process died while nothing could be stored is retried as soon as something can."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import dagster as dg
import pytest
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.workspace.context import WorkspaceProcessContext

from factory_assets.cli.retries import RetryDaemon
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from tests.daemons import tick_schedules, workspace
from tests.pipelines import APPLES, declare, enter, write_apples

pytestmark = pytest.mark.slow


def full(*_: Any, **__: Any) -> NoReturn:
    raise sqlite3.OperationalError("database or disk is full")


def retries(context: WorkspaceProcessContext, run_id: str) -> list[dg.DagsterRunStatus]:
    """Let the daemon look once, and return the states of the retries that the run has then."""
    [*RetryDaemon().run_iteration(context)]
    filters = dg.RunsFilter(tags={"dagster/parent_run_id": run_id})
    return [run.status for run in context.instance.get_runs(filters)]


def test_a_run_that_could_not_be_retried_is_retried_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    write_apples(tmp_path / "defs" / "apples")
    hourly = {"cron": "@hourly", "enabled": True}
    declare(tmp_path / "defs" / "apples", {**APPLES, "schedule": hourly})
    prepare(Home(tmp_path / "home"))
    began = datetime(2026, 3, 2, 12, 20, tzinfo=UTC)
    with workspace() as context:
        for hours in range(2):
            tick_schedules(context, began + timedelta(hours=hours))
        [run] = context.instance.get_runs()
        assert retries(context, run.run_id) == []
        died = JobFailureData(None, failure_reason=RunFailureReason.UNEXPECTED_TERMINATION)
        with monkeypatch.context() as patch:
            patch.setattr(context.instance, "add_run_tags", full)
            # It has failed, but not whether it is retried.
            with pytest.raises(sqlite3.OperationalError):
                context.instance.report_run_failed(run, job_failure_data=died)
            for _ in range(2):
                with pytest.raises(StorageError):
                    retries(context, run.run_id)
        for _ in range(2):
            assert retries(context, run.run_id) == [dg.DagsterRunStatus.QUEUED]
