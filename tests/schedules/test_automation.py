"""A schedule follows its declaration, and runs from the start only if that enables it."""

import dagster as dg
import pytest

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
