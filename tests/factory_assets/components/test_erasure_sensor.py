"""The sensor of erasures: one run for each erasure and pipeline, and never a second one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from factory_assets.components.erasure_sensor import done_erasures, erasure_sensors
from factory_resources.erasure.manifest import intent_file
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.tracking.run_history import REASON_TAG
from schedules.erasures import NAME
from tests.daemons import tick_sensor
from tests.engines import server_in_long
from tests.erasures import note_erased
from tests.pipelines import APPLES, declare, enter, write_apples

BEGAN = datetime(2026, 3, 2, 12, 20, tzinfo=UTC)


@pytest.fixture
def instance(
    prepared_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    enter(tmp_path, monkeypatch)
    for name in ("apples", "pears"):
        write_apples(tmp_path / "defs" / name)
        declare(tmp_path / "defs" / name, APPLES)
    prepare(Home(tmp_path / "home"))
    with dg.DagsterInstance.get() as opened:
        yield opened


def _requested(instance: dg.DagsterInstance) -> list[tuple[str, str]]:
    runs = instance.get_runs()
    return sorted((run.job_name, run.tags[REASON_TAG]) for run in runs if REASON_TAG in run.tags)


@pytest.mark.slow
@server_in_long("prepared_engine")
def test_the_daemon_starts_one_run_for_each(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    now = BEGAN
    tick_sensor(NAME, now)
    assert _requested(instance) == []
    first = note_erased(home, {"0" * 64: [1]}, pipeline="apples")
    # Nobody trains a pipeline that is not declared any more.
    note_erased(home, {"1" * 64: [1]}, pipeline="plums")
    expected = [("apples", f"erasure-{first.id}")]
    for _ in range(3):
        now += timedelta(minutes=2)
        tick_sensor(NAME, now)
        assert _requested(instance) == expected
    second = note_erased(home, {"2" * 64: [1]}, pipeline="pears")
    again = note_erased(home, {"3" * 64: [1]}, pipeline="apples")
    for _ in range(2):
        now += timedelta(minutes=2)
        tick_sensor(NAME, now)
    added = [("apples", f"erasure-{again.id}"), ("pears", f"erasure-{second.id}")]
    assert _requested(instance) == sorted([*expected, *added])


def test_an_erasure_that_is_not_finished_trains_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.require_writable()
    manifest = note_erased(home, {"0" * 64: [1]}, pipeline="apples")
    intent = intent_file(home, manifest.id)
    home.write_atomic(intent, b"{}")
    assert [*done_erasures(home)] == []
    intent.unlink()
    assert [*done_erasures(home)] == [(manifest.id, "apples")]


def test_nothing_looks_without_pipelines(tmp_path: Path) -> None:
    assert erasure_sensors([dg.Definitions()], Home(tmp_path)) == []
