"""The sensor of a declared pipeline with real files: from their arrival to the requested run."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.utils import make_new_run_id

from factory_assets.components.sensors import list_arrivals, run_request
from factory_assets.definitions import build_defs
from factory_assets.spec import Pipeline
from factory_resources.errors import DeclarationError
from factory_resources.home.home import Home
from schedules.sensors import arrivals_sensor
from tests.factory_assets.components.test_partition_assets import declared, known, write
from tests.pipelines import declare

_ARRIVALS = {"settle": 0, "enabled": True}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


class Looking:
    """The sensor's ticks, one after the other, each with the cursor of the last."""

    def __init__(self, pipeline: Pipeline, instance: dg.DagsterInstance, settle: float = 0) -> None:
        self.instance = instance
        self.later = 0.0
        self.cursor: str | None = None
        self.sensor = arrivals_sensor(
            pipeline.name,
            look=lambda: list_arrivals(pipeline, Home(pipeline.folder / "home")),
            run=lambda keys: run_request(pipeline, keys),
            settle=settle,
            enabled=False,
            clock=lambda: time.time() + self.later,
        )

    def tick(self) -> list[dg.RunRequest]:
        with dg.build_sensor_context(instance=self.instance, cursor=self.cursor) as context:
            data = self.sensor.evaluate_tick(context)
        self.cursor = data.cursor or self.cursor
        self.message = data.skip_message or ""
        self.added = {
            key for request in data.dynamic_partitions_requests for key in request.partition_keys
        }
        return list(data.run_requests or [])


def keys(requests: list[dg.RunRequest]) -> list[str]:
    (request,) = requests
    found: list[str] = request.run_config["ops"]["meter__partitions"]["config"]["keys"]
    return found


def test_an_arriving_file_requests_a_run_of_its_partition(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    pipeline = declared(tmp_path)
    looking = Looking(pipeline, instance)
    assert looking.tick() == []
    assert looking.message == "nothing new"
    write(pipeline, "2024-01-02", 1)
    assert looking.tick() == []
    assert looking.message == "still being written: 2024-01-02"
    assert keys(looking.tick()) == ["2024-01-02"]
    assert looking.tick() == []
    write(pipeline, "2024-01-03", 1)
    write(pipeline, "2024-01-02", 1, 2)
    looking.tick()
    assert keys(looking.tick()) == ["2024-01-02", "2024-01-03"]


def test_a_file_is_left_alone_until_it_has_settled(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    pipeline = declared(tmp_path)
    looking = Looking(pipeline, instance, settle=30)
    write(pipeline, "2024-01-02", 1)
    for _ in range(3):
        assert looking.tick() == []
    looking.later = 31
    assert keys(looking.tick()) == ["2024-01-02"]


def test_the_same_files_have_the_same_run_key_without_a_cursor(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    pipeline = declared(tmp_path)
    write(pipeline, "2024-01-02", 1)
    first, second = Looking(pipeline, instance), Looking(pipeline, instance)
    first.tick()
    second.tick()
    assert first.tick()[0].run_key == second.tick()[0].run_key


def test_new_keys_of_a_dynamic_dimension_are_added(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    pipeline = declared(
        tmp_path,
        partitions={"machine": {"dynamic": True}},
        ingest={
            "source": {"files": "{machine}/*.csv"},
            "contract": [{"name": "x", "type": "int64"}],
        },
    )
    looking = Looking(pipeline, instance)
    write(pipeline, "m1/1", 1)
    write(pipeline, "m2/1", 1)
    (pipeline.folder / "m2" / "2.csv.part").write_text("x\n")
    looking.tick()
    assert keys(looking.tick()) == ["m1", "m2"]
    assert looking.added == {"m1", "m2"}


def test_the_requested_run_computes_only_its_partitions(
    tmp_path: Path, home: Home, instance: dg.DagsterInstance
) -> None:
    pipeline = declared(tmp_path)
    write(pipeline, "2024-01-01", 1)
    write(pipeline, "2024-01-02", 1)
    looking = Looking(pipeline, instance)
    looking.tick()
    (request,) = looking.tick()
    (pipeline.folder / "2024-01-01.csv").unlink()
    write(pipeline, "2024-01-03", 1)
    looking.tick()
    (request,) = looking.tick()
    job = build_defs([pipeline.folder], resource_overrides={"home": home}).resolve_job_def("meter")
    result = job.execute_in_process(
        instance=instance, run_config=request.run_config, asset_selection=request.asset_selection
    )
    assert result.success
    assert known(instance, "clean") == {"2024-01-03"}


def test_without_partitions_the_whole_pipeline_runs(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    pipeline = declare(
        tmp_path / "plain", {"purpose": "Count", "ingest": {"source": {"files": "*.csv"}}}
    )
    write(pipeline, "a", 1)
    looking = Looking(pipeline, instance)
    looking.tick()
    assert looking.message == "still being written"
    (request,) = looking.tick()
    assert (request.run_config, request.asset_selection) == ({}, None)


def test_no_run_is_added_while_one_of_the_whole_pipeline_waits(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = declare(
        tmp_path / "plain", {"purpose": "Count", "ingest": {"source": {"files": "*.csv"}}}
    )
    queued = [dg.DagsterRun("plain", run_id=make_new_run_id())]

    def get_runs(filters: dg.RunsFilter) -> list[dg.DagsterRun]:
        assert filters.statuses == [dg.DagsterRunStatus.QUEUED]
        assert filters.tags == {"dagster/sensor_name": "plain_arrivals"}
        return queued

    monkeypatch.setattr(instance, "get_runs", get_runs)
    looking = Looking(pipeline, instance)
    for name in "ab":
        write(pipeline, name, 1)
        assert looking.tick() == []
        assert looking.tick() == []
        assert "of plain_arrivals still waits for its turn" in looking.message
    queued.clear()
    assert len(looking.tick()) == 1
    assert looking.tick() == []


def test_files_that_cannot_be_listed_are_reported(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FACTORY_NOWHERE", raising=False)
    pipeline = declare(
        tmp_path / "plain",
        {"purpose": "Count", "ingest": {"source": {"files": "${FACTORY_NOWHERE}/*.csv"}}},
    )
    looking = Looking(pipeline, instance)
    assert looking.tick() == []
    assert "FACTORY_NOWHERE} is not set" in looking.message


@pytest.mark.parametrize(
    ("arrivals", "status"),
    [
        (_ARRIVALS, dg.DefaultSensorStatus.RUNNING),
        ({}, dg.DefaultSensorStatus.STOPPED),
    ],
)
def test_a_sensor_follows_the_declaration(
    tmp_path: Path, arrivals: dict[str, Any], status: dg.DefaultSensorStatus
) -> None:
    pipeline = declared(tmp_path, arrivals=arrivals)
    sensor = build_defs([pipeline.folder]).get_sensor_def("meter_arrivals")
    assert sensor.default_status == status
    assert sensor.job_name == "meter"


def test_arrivals_need_files(tmp_path: Path) -> None:
    ingest = {"source": {"python": "source:load"}}
    with pytest.raises(DeclarationError, match="arrivals needs a source of files"):
        declare(tmp_path / "meter", {"purpose": "x", "ingest": ingest, "arrivals": {}})
