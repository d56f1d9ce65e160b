"""Tables of carbon: in the declaration or in a file, mistakes with the line of where they are."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from factory_assets.components.model_pipeline import ModelPipeline
from factory_assets.components.schedules import schedules_of
from factory_assets.declarations.carbon_file import green_hours
from factory_assets.declarations.loader import load_pipeline
from factory_assets.spec import PipelineSpec, Schedule
from tests.pipelines import APPLES, problems, write_apples

HOURS = [float(hour) for hour in range(100, 124)]
WINDOW = {"within": "22:00-06:00", "prefer": "lowest_carbon"}
DAILY = {"source": "a meter", "timezone": "Europe/Berlin", "daily": HOURS}
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _apples(folder: Path, schedule: dict[str, Any], carbon: str = "") -> Path:
    own = folder / "apples"
    write_apples(own)
    document = {
        "type": "factory_assets.ModelPipeline",
        "attributes": {**APPLES, "schedule": schedule},
    }
    (own / "defs.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    (folder / "carbon.yaml").write_text(carbon)
    return own


def test_a_table_in_a_file_is_read_by_the_factory_and_by_dagster(tmp_path: Path) -> None:
    named = {**WINDOW, "carbon": {"file": "../carbon.yaml"}}
    pipeline = load_pipeline(_apples(tmp_path, named, yaml.safe_dump(DAILY)))
    schedule = pipeline.spec.schedule
    assert schedule == Schedule.model_validate({**WINDOW, "carbon": DAILY})
    found = green_hours(schedule)
    assert found
    assert found.carbon == tuple(HOURS * 7)
    assert (found.carbon_timezone, found.source) == ("Europe/Berlin", "a meter")
    context = dg.ComponentTree.for_test().load_context.for_path(pipeline.folder)
    given = PipelineSpec.model_validate({**APPLES, "schedule": named})
    assert ModelPipeline.load(given, context).spec == pipeline.spec


def test_a_week_has_its_days() -> None:
    weekly = {day: [float(number)] * 24 for number, day in enumerate(DAYS)}
    declared = {**WINDOW, "carbon": {"source": "a meter", "weekly": weekly}}
    found = green_hours(Schedule.model_validate(declared))
    assert found
    assert found.carbon == tuple(float(number) for number in range(7) for _ in range(24))
    # In the night from Sunday to Monday, the least carbon is after midnight.
    coming = found.next(datetime(2026, 5, 3, 12, tzinfo=UTC))
    assert coming
    assert coming.at == datetime(2026, 5, 4, tzinfo=UTC)


def test_a_schedule_without_a_window_is_stored_as_before(tmp_path: Path) -> None:
    declared = {"cron": "0 2 * * *"}
    stored = Schedule.model_validate(declared).model_dump(mode="json")
    assert stored == {"cron": "0 2 * * *", "timezone": "UTC", "enabled": False}
    [schedule] = schedules_of(load_pipeline(_apples(tmp_path, declared)))
    assert schedule.cron_schedule == "0 2 * * *"


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({}, "schedule needs `cron`"),
        ({"cron": "0 2 * * *", "within": "22:00-06:00"}, "within needs `prefer` beside it"),
        ({**WINDOW}, "within needs `carbon` beside it"),
        ({"carbon": DAILY}, "carbon needs `within` beside it"),
        ({**WINDOW, "carbon": DAILY, "within": "22-6"}, "'22-6' is not a window"),
        ({**WINDOW, "carbon": DAILY, "within": "25:00-06:00"}, "'25:00-06:00' is not a window"),
        ({**WINDOW, "carbon": DAILY, "within": "06:00-06:00"}, "begins when it ends"),
        ({**WINDOW, "carbon": DAILY, "prefer": "cheap"}, "valid: lowest_carbon"),
        ({**WINDOW, "carbon": {**DAILY, "daily": HOURS[1:]}}, "24 items"),
        ({**WINDOW, "carbon": {**DAILY, "daily": [-1.0, *HOURS[1:]]}}, "greater than or equal"),
        ({**WINDOW, "carbon": {"daily": HOURS}}, "needs `source`"),
        ({**WINDOW, "carbon": {"source": "a meter"}}, "either `daily` or `weekly`"),
        ({**WINDOW, "carbon": {**DAILY, "timezone": "Berlin"}}, "unknown time zone 'Berlin'"),
        ({**WINDOW, "carbon": {**DAILY, "file": "x.yaml"}}, "belongs in the file x.yaml"),
        ({**WINDOW, "carbon": {"source": "a", "weekly": {"monday": HOURS}}}, "'sunday' is missing"),
    ],
)
def test_a_wrong_schedule_is_one_line(
    tmp_path: Path, schedule: dict[str, Any], message: str
) -> None:
    found = [str(problem) for problem in problems(_apples(tmp_path, schedule))]
    assert [line for line in found if message in line], found


@pytest.mark.parametrize(
    ("carbon", "line", "message"),
    [
        ("source: a meter\nhourly: 3\n", 2, "unknown key 'hourly'"),
        ("source: a meter\nsource: mine\ndaily: 3\n", 2, "repeats line 1"),
        ("- 3\n", 1, "must be a mapping"),
        (yaml.safe_dump({"file": "../other.yaml", **DAILY}), 1, "must be a mapping"),
        ("a: [\n", 2, ""),
    ],
)
def test_a_mistake_in_the_file_has_its_line(
    tmp_path: Path, carbon: str, line: int, message: str
) -> None:
    named = {**WINDOW, "carbon": {"file": "../carbon.yaml"}}
    found = problems(_apples(tmp_path, named, carbon))
    matching = [one for one in found if message in one.what]
    assert matching, [str(one) for one in found]
    assert (matching[0].file, matching[0].line) == (tmp_path / "carbon.yaml", line)


def test_what_stands_beside_the_name_of_a_file_is_not_passed_over(tmp_path: Path) -> None:
    named = {**WINDOW, "carbon": {"file": "../carbon.yaml", "timezone": "Asia/Tokyo"}}
    [found] = problems(_apples(tmp_path, named, yaml.safe_dump(DAILY)))
    assert "belongs in the file ../carbon.yaml" in found.what


@pytest.mark.parametrize(("name", "shown"), [("none.yaml", "none.yaml"), ("a\0b", r"a\x00b")])
def test_a_file_that_is_missing_is_named(name: str, shown: str, tmp_path: Path) -> None:
    [found] = problems(_apples(tmp_path, {**WINDOW, "carbon": {"file": name}}))
    assert f"{shown} cannot be read" in found.what


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    [found] = problems(_apples(tmp_path, {**WINDOW, "carbon": {"file": "../pipe.yaml"}}))
    assert "pipe.yaml cannot be read (not a file)" in found.what
