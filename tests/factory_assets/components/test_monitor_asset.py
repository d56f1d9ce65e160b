"""The asset `monitor` in Dagster: its page, check and schedule, and the sensor of retraining."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from factory_assets.definitions import build_defs
from factory_resources.prediction_log.ids import parse
from factory_resources.tracking.run_history import REASON_TAG
from tests.factory_resources.outcomes.samples import add, feedback
from tests.pipelines import declare
from tests.watched import PUMPS, Watched, copy_watched, make_watched, rows

pytestmark = pytest.mark.slow

WATCH = {"retrain": {"after": ["drift", "contract"], "at_most": 1}, "volume": {"at_least": 1}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    return make_watched(tmp_path_factory.mktemp("watched") / "made", watch=WATCH)


@pytest.fixture
def pumps(made: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return copy_watched(made, tmp_path / "factory", monkeypatch)


def test_a_look_is_a_materialization_with_figures_plots_and_a_check(pumps: Watched) -> None:
    definitions = build_defs([pumps.folder])
    job = definitions.resolve_job_def("pumps_monitor")
    with dg.DagsterInstance.ephemeral() as instance:
        for day in range(1, 4):
            asked = rows(150, day, heat=20.0)
            answers = pumps.answer(asked)
            told = [
                feedback(parse(answer["id"]), f'"{row["failed"]}"', pipeline="pumps")
                for answer, row in zip(answers, asked, strict=True)
            ]
            assert add(pumps.home, told[:100]) == ["recorded"] * 100
            pumps.look(day)
        pumps.answer(rows(150, 4, heat=20.0))
        done = job.execute_in_process(instance=instance)
    assert done.success
    [event] = done.asset_materializations_for_node("pumps__monitor")
    assert event.metadata["rows answered"].value == 150
    changed = str(event.metadata["what changed"].value)
    assert "heat (values)" in changed
    real = str(event.metadata["real performance"].value)
    assert "300 rows with outcomes" in real
    assert "| roc_auc | 0." in real
    assert "on the test rows" in real
    assert "data:image/png;base64" in str(event.metadata["plots"].value)
    [check] = done.get_asset_check_evaluations()
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert "heat: median" in str(check.description)


def test_the_schedule_and_the_sensor_are_on_as_declared(pumps: Watched) -> None:
    definitions = build_defs([pumps.folder])
    schedule = definitions.resolve_schedule_def("pumps_monitor_schedule")
    assert (schedule.cron_schedule, schedule.default_status.value) == ("0 6 * * *", "RUNNING")
    pumps.declare(watch={**WATCH, "look": {"enabled": False}})
    quiet = build_defs([pumps.folder]).resolve_schedule_def("pumps_monitor_schedule")
    assert quiet.default_status is dg.DefaultScheduleStatus.STOPPED
    pumps.declare(watch=None)
    names = {one.name for one in build_defs([pumps.folder]).resolve_all_job_defs()}
    assert "pumps_monitor" not in names


def test_nobody_looks_at_a_pipeline_before_a_version_of_it_serves(pumps: Watched) -> None:
    young = declare(pumps.folder.parent / "plums", PUMPS)
    definitions = build_defs([pumps.folder, young.folder])
    found = []
    with dg.instance_for_test() as instance:
        for name in ("pumps", "plums"):
            schedule = definitions.resolve_schedule_def(f"{name}_monitor_schedule")
            context = dg.build_schedule_context(
                instance, scheduled_execution_time=datetime(2026, 3, 2, 5, tzinfo=UTC)
            )
            found.append(schedule.evaluate_tick(context))
    assert [len(tick.run_requests or ()) for tick in found] == [1, 0]
    assert found[1].skip_message == "no version of plums serves yet"


def test_drift_asks_for_one_training_and_a_broken_contract_for_another_try(
    pumps: Watched,
) -> None:
    definitions = build_defs([pumps.folder])
    sensor = definitions.resolve_sensor_def("pumps_retrain")

    def asked(instance: dg.DagsterInstance) -> Any:
        context = dg.build_sensor_context(instance=instance, definitions=definitions)
        return sensor.evaluate_tick(context)

    with dg.DagsterInstance.ephemeral() as instance:
        assert asked(instance).skip_message == "there is no reason to train"
        (pumps.folder / "rows.jsonl").write_text('{"other": 1}\n')
        job = definitions.resolve_job_def("pumps")
        failed = job.execute_in_process(instance=instance, raise_on_error=False)
        assert not failed.success
        [request] = asked(instance).run_requests
        assert request.tags[REASON_TAG] == f"contract-{failed.run_id[:8]}"
        again = job.execute_in_process(
            instance=instance, raise_on_error=False, tags=request.tags, run_id=None
        )
        assert not again.success
        # It waits before the next try, and a source that was refused was no training.
        assert "failed 1 time, tried again" in str(asked(instance).skip_message)
