"""Commands that need rest are refused while a run works, whatever else the home has of runs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from factory_assets.cli.shared import require_no_run
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.home.processes import process_identity
from factory_resources.instance import prepare
from factory_resources.tracking.run_history import PROCESS_TAG, has_working_runs
from tests.pipelines import enter

pytestmark = pytest.mark.slow

WORKING = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)

WITHOUT = """\
import sys
from factory_assets.cli.shared import require_no_run
from factory_resources.home.home import Home
require_no_run(Home.from_env(), no_daemon=True)
print(sorted({"dagster", "sqlalchemy"} & sys.modules.keys()))
"""


@pytest.fixture
def instance(
    prepared_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    enter(tmp_path, monkeypatch)
    prepare(Home(tmp_path / "home"))
    with dg.DagsterInstance.get() as opened:
        yield opened


def test_only_a_run_that_works_is_waited_for(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    home, tags = Home(tmp_path / "home"), {PROCESS_TAG: process_identity(os.getpid())}
    # One that is queued has no process yet, and needs the code server that it comes from.
    for status in {*dg.DagsterRunStatus} - {dg.DagsterRunStatus.QUEUED}:
        run = instance.add_run(dg.DagsterRun("apples", status=status, tags=tags))
        assert has_working_runs(home) is (status in WORKING)
        if status in WORKING:
            with pytest.raises(StorageError, match="of apples is still running"):
                require_no_run(home, no_daemon=True)
        instance.delete_run(run.run_id)
    require_no_run(home, no_daemon=True)


def test_a_killed_run_is_ended(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    tags = {PROCESS_TAG: f"{2**30} gone by"}
    run = instance.add_run(dg.DagsterRun("apples", status=WORKING[1], tags=tags))
    require_no_run(Home(tmp_path / "home"))
    ended = instance.get_run_by_id(run.run_id)
    assert ended
    assert ended.status is dg.DagsterRunStatus.FAILURE


def test_a_home_at_rest_is_asked_without_dagster(instance: dg.DagsterInstance) -> None:
    instance.add_run(dg.DagsterRun("apples", status=dg.DagsterRunStatus.SUCCESS))
    command = [sys.executable, "-c", WITHOUT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
