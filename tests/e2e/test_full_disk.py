"""A stage that fills the disk is an error of one line, and the next run has the usual result."""

from collections.abc import Iterator

import pytest

from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.stages import STAGES, UPSTREAM, Stage
from factory_assets.spec import Pipeline
from factory_resources.errors import FactoryError, StorageError
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from tests.disks import Disk, small_disk
from tests.pipelines import APPLES, declare, write_apples

pytestmark = pytest.mark.slow

FREE = (0, 8_000, 24_000, 64_000, 160_000)
"""Bytes that are left when a stage begins."""
ROWS = 20_000
"""Of the source, so that the smallest snapshot is larger than some of these."""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    with small_disk(tmp_path_factory.mktemp("full") / "disk", 200_000_000) as disk:
        yield disk


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    folder = tmp_path_factory.mktemp("defs") / "apples"
    declared = declare(folder, APPLES)
    write_apples(folder, ROWS)
    return declared


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_on_a_full_disk_is_one_line(
    stage: Stage, disk: Disk, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(disk.folder / stage)
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    prepare(home)
    for before in STAGES[: STAGES.index(stage)]:
        run_stage(StageRequest(pipeline, before, home, "before"))
    refused = 0
    for free in FREE:
        call = StageRequest(pipeline, stage, home, f"with {free}", reuse=False)
        with disk.filled(free):
            error = _error_of(call)
        refused += error is not None
        assert error is None or isinstance(error, StorageError), str(error)
        assert error is None or "free space" in str(error) or "free disk space" in str(error)
        assert not [path for path in home.tmp.iterdir() if path.is_dir() and path.name != "locks"]
    assert refused
    last = run_stage(StageRequest(pipeline, stage, home, "after", reuse=False))
    assert run_stage(StageRequest(pipeline, stage, home, "again")).reused
    assert last.value.data_version
    assert UPSTREAM[stage] == () or last.record.inputs


def _error_of(call: StageRequest) -> FactoryError | None:
    try:
        run_stage(call)
    except FactoryError as error:
        return error
    return None
