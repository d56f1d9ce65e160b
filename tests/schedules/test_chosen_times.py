"""A night has one run, at its chosen hour; what the daemon missed is caught up by one run.

The scheduler of Dagster's own daemon decides, over an instance of the factory.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
import yaml
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.storage.tags import SCHEDULED_EXECUTION_TIME_TAG

from factory_assets.components.run_context import CARBON_BEFORE_TAG, CARBON_TAG
from factory_assets.green_hours import GreenHours
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from schedules.automation import MISSED_TAG
from tests.daemons import tick_schedules, workspace
from tests.pipelines import APPLES, declare, enter, write_apples
from tests.schedules.test_catching_up import end_waiting

pytestmark = pytest.mark.slow

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = timedelta(hours=1)


def green(best: int) -> dict[str, Any]:
    """Declare a window with the least carbon at one hour."""
    daily = [400.0 if hour == 22 else 90.5 if hour == best else 300.0 for hour in range(24)]
    carbon = {"source": "a meter", "timezone": "Europe/Berlin", "daily": daily}
    window = {"within": "22:00-06:00", "prefer": "lowest_carbon", "timezone": "Europe/Berlin"}
    return {**window, "carbon": carbon, "enabled": True}


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """A home with two pipelines, whose best hours are 2:00 and 5:00; nothing has run."""
    enter(tmp_path, monkeypatch)
    for name, best in (("apples", 2), ("pears", 5)):
        write_apples(tmp_path / "defs" / name)
        declare(tmp_path / "defs" / name, {**APPLES, "schedule": green(best)})
    prepare(Home(tmp_path / "home"))
    with dg.DagsterInstance.get() as opened:
        yield opened


def runs(instance: dg.DagsterInstance, job: str) -> list[dict[str, str]]:
    """Return the tags of the runs of a job, the oldest first."""
    return [dict(run.tags) for run in instance.get_runs() if run.job_name == job][::-1]


def begun(instance: dg.DagsterInstance, job: str) -> list[str]:
    """Return the scheduled times of the runs of a job by the clocks of Berlin."""
    times = (run[SCHEDULED_EXECUTION_TIME_TAG] for run in runs(instance, job))
    return [f"{datetime.fromisoformat(time).astimezone(BERLIN):%d %H:%M}" for time in times]


def test_a_night_has_one_run_and_missed_ones_are_caught_up(instance: dg.DagsterInstance) -> None:
    evening = datetime(2026, 3, 27, 21, 20, tzinfo=BERLIN)
    with workspace() as context:
        for hour in range(10):
            tick_schedules(context, evening + hour * HOUR)
    assert begun(instance, "apples") == ["28 02:00"]
    assert begun(instance, "pears") == ["28 05:00"]
    [first] = runs(instance, "apples")
    assert (first[CARBON_BEFORE_TAG], first[CARBON_TAG]) == ("400", "90.5")
    assert MISSED_TAG not in first
    skipped = instance.get_ticks(*_schedule(instance), statuses=[TickStatus.SKIPPED])
    assert skipped[0].skip_reason == "the next run is at another hour: Saturday 05:00"
    end_waiting(instance)

    # The daemon is down at the best hour of the next night, in which clocks skip 2:00, and back
    # in the morning.
    with workspace() as context:
        tick_schedules(context, datetime(2026, 3, 29, 10, 20, tzinfo=BERLIN))
    assert begun(instance, "pears") == ["28 05:00", "29 05:00"]
    late = runs(instance, "pears")[-1]
    assert CARBON_TAG not in late, "it began at another hour"
    assert MISSED_TAG not in late, "it was one night"
    end_waiting(instance)
    # After ten nights, one run says how many it stands for; then every night has its own again.
    with workspace() as context:
        for hour in (10, 22, 23, 24, 25, 26, 27):
            tick_schedules(context, datetime(2026, 4, 8, 0, 20, tzinfo=BERLIN) + hour * HOUR)
            end_waiting(instance)
    assert begun(instance, "apples")[2:] == ["08 05:00", "09 02:00"]
    caught_up, nightly = runs(instance, "apples")[2:]
    assert caught_up[MISSED_TAG] == "10 times since 2026-03-30 02:00, caught up once"
    assert CARBON_TAG not in caught_up
    assert nightly[CARBON_TAG] == "90.5"


def test_a_look_that_failed_is_caught_up_by_the_next_one(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk is away")

    evening = datetime(2026, 3, 27, 21, 20, tzinfo=BERLIN)
    with workspace() as context:
        for hour in range(8):
            tick_schedules(context, evening + hour * HOUR)
        with monkeypatch.context() as patch:
            patch.setattr(GreenHours, "between", fail)
            with pytest.raises(AssertionError, match="the disk is away"):
                tick_schedules(context, evening + 8 * HOUR)
        assert begun(instance, "pears") == []
        tick_schedules(context, evening + 25 * HOUR)
    assert begun(instance, "apples") == ["28 02:00"]
    assert begun(instance, "pears") == ["28 22:00"]


def test_a_table_that_is_written_anew_counts_from_the_next_window_on(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    folder, table = tmp_path / "defs" / "apples", tmp_path / "carbon.yaml"
    schedule = green(5)
    table.write_text(yaml.safe_dump(schedule["carbon"]))
    declare(folder, {**APPLES, "schedule": {**schedule, "carbon": {"file": str(table)}}})
    evening = datetime(2026, 5, 4, 21, 20, tzinfo=BERLIN)
    with workspace() as context:
        for hour in range(34):
            if hour in {3, 10}:
                # At midnight, and in the morning.
                table.write_text(yaml.safe_dump(green(23 if hour == 3 else 2)["carbon"]))
            tick_schedules(context, evening + hour * HOUR)
            end_waiting(instance)
    assert begun(instance, "apples") == ["05 05:00", "06 02:00"]


def test_an_hour_that_clocks_show_twice_is_the_chosen_one(instance: dg.DagsterInstance) -> None:
    evening = datetime(2026, 10, 24, 21, 20, tzinfo=BERLIN).astimezone(UTC)
    with workspace() as context:
        for hour in range(11):
            tick_schedules(context, evening + hour * HOUR)
    [night] = runs(instance, "apples")
    assert begun(instance, "apples") == ["25 02:00"]
    assert night[CARBON_TAG] == "90.5"


def _schedule(instance: dg.DagsterInstance) -> tuple[str, str]:
    states = instance.all_instigator_state()
    [state] = [one for one in states if one.instigator_name == "pears_schedule"]
    return state.instigator_origin_id, state.selector_id


def test_a_night_adds_no_run_while_that_of_the_night_before_waits(
    instance: dg.DagsterInstance,
) -> None:
    evening = datetime(2026, 3, 25, 21, 20, tzinfo=BERLIN)
    with workspace() as context:
        for hour in range(34):
            tick_schedules(context, evening + hour * HOUR)
    assert begun(instance, "apples") == ["26 02:00"]
