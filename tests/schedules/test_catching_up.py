"""After days without the daemon, each schedule starts one run: for the last of the missed times.

The scheduler of Dagster's own daemon decides, over an instance of the factory.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.storage.tags import SCHEDULED_EXECUTION_TIME_TAG

from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.ledger.ledger import Ledger
from schedules.automation import MISSED_TAG
from schedules.future_ticks import end_future
from tests.daemons import tick_schedules, workspace
from tests.engines import server_in_long
from tests.ledger import make_champion
from tests.pipelines import APPLES, declare, enter, write_apples

pytestmark = pytest.mark.slow

BEGAN = datetime(2026, 3, 2, 12, 20, tzinfo=UTC)
JOBS = ("apples", "apples_monitor", "meter")
DAY = timedelta(days=1)
NIGHTLY = {"cron": "0 2 * * *", "timezone": "Europe/Berlin", "enabled": True}
HOURLY = {"cron": "@hourly", "enabled": True}
PARTITIONED = {
    "purpose": "Count what machines report",
    "partitions": {"day": {"every": "day", "start": "2026-02-01"}},
    "ingest": {
        "source": {"files": "arrivals/{day}.csv"},
        "contract": [{"name": "heat", "type": "float64"}],
    },
    "schedule": NIGHTLY,
}


@pytest.fixture
def instance(
    prepared_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """A home with a pipeline that is looked at hourly, and one in partitions; nothing has run.

    Its champion is one by the ledger alone: nobody looks at a pipeline without one.
    """
    enter(tmp_path, monkeypatch)
    write_apples(tmp_path / "defs" / "apples")
    declare(
        tmp_path / "defs" / "apples", {**APPLES, "schedule": NIGHTLY, "watch": {"look": HOURLY}}
    )
    declare(tmp_path / "defs" / "meter", PARTITIONED)
    prepare(Home(tmp_path / "home"))
    Ledger(Home(tmp_path / "home")).begin()
    make_champion("apples", 1, Home(tmp_path / "home"))
    with dg.DagsterInstance.get() as opened:
        yield opened


def end_waiting(instance: dg.DagsterInstance) -> None:
    """End the runs in the queue, which nothing works off here."""
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])):
        instance.report_run_canceled(run)


def started(instance: dg.DagsterInstance) -> dict[str, list[datetime]]:
    """Return the scheduled times for which the pipelines of this test have runs, by job."""
    found: dict[str, list[datetime]] = {job: [] for job in JOBS}
    own = [run for run in instance.get_runs() if run.job_name in JOBS]
    for run in reversed(own):
        time = datetime.fromisoformat(run.tags[SCHEDULED_EXECUTION_TIME_TAG])
        found[run.job_name].append(time)
    return found


def missed(instance: dg.DagsterInstance) -> set[tuple[str, str]]:
    """Return the jobs of this test whose runs caught up, each with what its run says of it."""
    found = [(run.job_name, run.tags.get(MISSED_TAG)) for run in instance.get_runs()]
    return {(job, tag) for job, tag in found if tag and job in JOBS}


def test_missed_times_are_caught_up_by_one_run(instance: dg.DagsterInstance) -> None:
    with workspace() as context:
        tick_schedules(context, BEGAN)
        tick_schedules(context, BEGAN + DAY)
    before = started(instance)
    end_waiting(instance)
    assert [len(before[job]) for job in JOBS] == [1, 1, 1]
    # Nothing ran for ten days: ten nights, and 240 looks.
    back = BEGAN + 11 * DAY
    with workspace() as context:
        for minute in range(2):
            tick_schedules(context, back + timedelta(minutes=minute))
        caught_up = started(instance)
        end_waiting(instance)
        # From then on, every time has its run again.
        tick_schedules(context, back + timedelta(hours=1))
    night, hour = (datetime(2026, 3, 13, at, tzinfo=UTC) for at in (1, 12))
    new = {job: caught_up[job][len(before[job]) :] for job in JOBS}
    assert new == {"apples": [night], "apples_monitor": [hour], "meter": [night]}
    nights = "10 times since 2026-03-04 02:00, caught up once"
    assert missed(instance) == {
        ("apples", nights),
        ("apples_monitor", "24 times since 2026-03-02 13:00, caught up once"),
        ("apples_monitor", "240 times since 2026-03-03 13:00, caught up once"),
        ("meter", nights),
    }
    assert started(instance)["apples_monitor"][-1] == hour + timedelta(hours=1)
    # That was by a clock that was ahead: the next night is that after it has been set right.
    end_future(instance, (BEGAN + 2 * DAY).timestamp())
    end_waiting(instance)
    with workspace() as context:
        tick_schedules(context, BEGAN + 3 * DAY)
    assert started(instance)["apples"][-1] == datetime(2026, 3, 5, 1, tzinfo=UTC)


@server_in_long("prepared_engine")
def test_times_that_were_not_declared_then_are_not_missed(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    with workspace() as context:
        for hour in range(30):
            tick_schedules(context, BEGAN + timedelta(hours=hour))
            end_waiting(instance)
    declare(tmp_path / "defs" / "apples", {**APPLES, "schedule": {**NIGHTLY, **HOURLY}})
    with workspace() as context:
        for hour in range(30, 33):
            tick_schedules(context, BEGAN + timedelta(hours=hour))
            end_waiting(instance)
    assert [time.hour for time in started(instance)["apples"]] == [1, 18, 19, 20]
    assert not [job for job, _ in missed(instance) if job == "apples"]


@server_in_long("prepared_engine")
def test_a_schedule_adds_no_run_while_one_of_it_waits(instance: dg.DagsterInstance) -> None:
    with workspace() as context:
        for hour in range(5):
            tick_schedules(context, BEGAN + hour * timedelta(hours=1))
        [waiting] = instance.get_runs(dg.RunsFilter(job_name="apples_monitor"))
        [state] = [
            one
            for one in instance.all_instigator_state()
            if one.instigator_name == "apples_monitor_schedule"
        ]
        last = instance.get_ticks(state.instigator_origin_id, state.selector_id)[0]
        assert last.skip_reason == (
            f"run {waiting.run_id[:8]} of apples_monitor_schedule still waits for its turn"
        )
        # One that works has read already what there was: another one is due after it.
        instance.report_dagster_event(
            DagsterEvent(DagsterEventType.RUN_START.value, "apples_monitor"), waiting.run_id
        )
        tick_schedules(context, BEGAN + timedelta(hours=5))
        tick_schedules(context, BEGAN + timedelta(hours=6))
        runs = instance.get_runs(dg.RunsFilter(job_name="apples_monitor"))
        assert len(runs) == 2
        assert MISSED_TAG not in runs[0].tags


@server_in_long("prepared_engine")
def test_a_retry_that_waits_is_no_run_of_the_schedule(instance: dg.DagsterInstance) -> None:
    with workspace() as context:
        tick_schedules(context, BEGAN)
        tick_schedules(context, BEGAN + timedelta(hours=1))
        [run] = instance.get_runs(dg.RunsFilter(job_name="apples_monitor"))
        instance.add_run_tags(run.run_id, {"dagster/parent_run_id": "that of the killed one"})
        tick_schedules(context, BEGAN + timedelta(hours=2))
    assert len(started(instance)["apples_monitor"]) == 2
