"""What Dagster has stored of runs is read without Dagster, on both engines."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus

from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.tracking.run_history import AVOIDED_TAG, run_tag_values, skip_reasons
from tests.pipelines import enter
from tests.sensor_ticks import add_tick, switch

pytestmark = pytest.mark.slow


def test_the_values_of_a_tag_are_those_of_the_runs_of_a_job(
    prepared_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    home = Home(tmp_path / "home")
    prepare(home)
    with dg.DagsterInstance.get() as instance:
        for job, avoided in (("apples", "2.5"), ("pears", "9"), ("apples", "0.5")):
            run = instance.create_run_for_job(_job(job))
            instance.add_run_tags(run.run_id, {AVOIDED_TAG: avoided, "factory/energy_wh": "1"})
        instance.create_run_for_job(_job("apples"))
    assert run_tag_values(home, "apples", AVOIDED_TAG) == ["2.5", "0.5"]
    assert run_tag_values(home, "plums", AVOIDED_TAG) == []


def test_a_home_without_runs_has_no_values(home: Home) -> None:
    assert run_tag_values(home, "apples", AVOIDED_TAG) == []
    assert not home.path.exists()


def test_why_a_sensor_started_nothing_is_what_it_said_last(
    prepared_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    home = Home(tmp_path / "home")
    assert skip_reasons(home) == {}
    prepare(home)
    assert skip_reasons(home) == {}
    switch(home, "plums_retrain", InstigatorStatus.RUNNING)
    add_tick(home, "apples_retrain", "too early")
    add_tick(home, "apples_retrain", "too often")
    add_tick(home, "pears_retrain", "too late")
    assert skip_reasons(home) == {"apples_retrain": "too often", "pears_retrain": "too late"}
    # An evaluation that goes on has said nothing yet.
    add_tick(home, "apples_retrain", status=TickStatus.STARTED)
    switch(home, "pears_retrain", InstigatorStatus.STOPPED)
    assert skip_reasons(home) == {"apples_retrain": "too often"}
    add_tick(home, "apples_retrain", status=TickStatus.SUCCESS)
    assert skip_reasons(home) == {}


def _job(name: str) -> dg.JobDefinition:
    @dg.job(name=name)
    def empty() -> None:
        pass

    return empty
