"""A schedule follows its declaration, and runs from the start only if that enables it."""

from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from schedules.automation import schedule_for


@pytest.mark.parametrize(
    ("enabled", "status"),
    [(True, dg.DefaultScheduleStatus.RUNNING), (False, dg.DefaultScheduleStatus.STOPPED)],
)
def test_schedule_follows_the_declaration(enabled: bool, status: dg.DefaultScheduleStatus) -> None:
    schedule = schedule_for(
        "p", cron="0 2 * * *", timezone="Europe/Berlin", enabled=enabled, tags={"a": "b"}
    )
    assert (schedule.name, schedule.job_name) == ("p_schedule", "p")
    assert schedule.cron_schedule == "0 2 * * *"
    assert schedule.execution_timezone == "Europe/Berlin"
    assert schedule.default_status == status
    assert schedule.tags == {"a": "b"}


@pytest.mark.parametrize("cron", ["0 2 * * *", "30 2 * * *", "0 6 * * *"])
@pytest.mark.parametrize("start", ["2026-03-25", "2026-10-21"])
def test_every_night_has_one_run_also_when_clocks_change(start: str, cron: str) -> None:
    zone = ZoneInfo("Europe/Berlin")
    began = datetime.fromisoformat(start).replace(tzinfo=zone)
    schedule = schedule_for("p", cron=cron, timezone="Europe/Berlin", enabled=True, tags={})
    ticks = schedule_execution_time_iterator(
        began.timestamp(), schedule.cron_schedule, schedule.execution_timezone, ascending=True
    )
    nights = [tick.astimezone(zone) for tick in islice(ticks, 10)]
    assert [night.date() for night in nights] == [
        (began + timedelta(days=day)).date() for day in range(10)
    ]
    minute, hour = map(int, cron.split()[:2])
    # In March, 2:00 to 3:00 does not exist: the run of that night is at 3:00.
    changed = [night for night in nights if (night.hour, night.minute) != (hour, minute)]
    skipped = start.startswith("2026-03") and hour == 2
    assert [(night.hour, night.minute) for night in changed] == [(3, 0)] * skipped
    offsets = {night.utcoffset() for night in nights}
    assert offsets == {timedelta(hours=1), timedelta(hours=2)}


@pytest.mark.parametrize("reason", ["", "no partition is new"])
def test_nothing_is_run_for_which_there_is_no_need(reason: str, tmp_path: Path) -> None:
    schedule = schedule_for(
        "p",
        cron="0 2 * * *",
        timezone="UTC",
        enabled=True,
        tags={"a": "b"},
        needless=lambda: reason,
    )
    now = datetime(2026, 3, 2, 2, tzinfo=ZoneInfo("UTC"))
    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
        dg.build_schedule_context(instance=instance, scheduled_execution_time=now) as context,
    ):
        found = schedule.evaluate_tick(context)
    assert found.skip_message == (reason or None)
    assert [one.tags["a"] for one in found.run_requests or ()] == ([] if reason else ["b"])
