"""A stage that fills the disk is an error of one line, and the next run has the usual result."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from factory_assets.cli.main import main
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.stages import STAGES, UPSTREAM, Stage
from factory_assets.spec import Pipeline
from factory_resources.errors import FactoryError, StorageError
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from tests.commands import command
from tests.disks import Disk, small_disk
from tests.e2e.test_partitions import Up
from tests.e2e.test_retry import keeper, launch, messages
from tests.ledger import problems
from tests.long_run import in_long
from tests.pipelines import APPLES, declare, enter, write_apples

pytestmark = pytest.mark.slow

FREE = (0, 8_000, 24_000, 64_000, 160_000)
"""Bytes that are left when a stage begins."""
ROWS = 20_000
"""Of the source, so that the smallest snapshot is larger than some of these."""
ITS_OWN: tuple[Stage, ...] = ("train", "deploy")
OTHERS = tuple(stage for stage in STAGES if stage not in ITS_OWN)
"""Stages that store more than a table and a record."""


_ERRORS = """
query($id: ID!) {logsForRun(runId: $id) {... on EventConnection {events {
  ... on ErrorEvent {error {message}}}}}}"""


@pytest.fixture(autouse=True)
def _starts_nonetheless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let runs start with less than what is to be left free."""
    monkeypatch.setenv("FACTORY_DISK_KEEP", "0")


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


@pytest.mark.parametrize("stage", ["train", *in_long(["deploy", *OTHERS])])
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
        assert not home.ledger.exists() or problems(home) == []
    assert refused
    last = run_stage(StageRequest(pipeline, stage, home, "after", reuse=False))
    assert run_stage(StageRequest(pipeline, stage, home, "again")).reused
    assert last.value.data_version
    assert problems(home) == []
    assert UPSTREAM[stage] == () or last.record.inputs


TRAINED: dict[str, dict[str, Any]] = {
    "mlp": {"model": {"kind": "mlp", "hidden": [64, 64], "epochs": 3}},
    "gradient_boosting": {"model": {"kind": "gradient_boosting", "iterations": 20}},
    "tune": {
        "model": {"kind": "mlp", "hidden": [8], "epochs": 1},
        "tune": {"trials": 2, "search": {"learning_rate": [0.001, 0.1]}},
    },
}


@pytest.mark.parametrize("kind", ["mlp", *in_long(["gradient_boosting", "tune"])])
def test_a_training_on_a_full_disk_is_one_line(
    kind: str, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = declare(
        tmp_path / "apples", {**APPLES, "train": {"target": "label", **TRAINED[kind]}}
    )
    write_apples(tmp_path / "apples", 2_000)
    home = Home(disk.folder / kind)
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    prepare(home)
    for before in ("ingest", "clean", "split"):
        run_stage(StageRequest(pipeline, before, home, "before"))
    call = StageRequest(pipeline, "train", home, "run")
    for free in (0, 12_000, 40_000, 90_000, 200_000):
        with disk.filled(free):
            error = _error_of(call)
        assert error is None or isinstance(error, StorageError), str(error)
        assert error is None or "free space" in str(error) or "free disk space" in str(error)
    run_stage(call)


@pytest.mark.parametrize(
    "free",
    [0, *in_long([30_000, 120_000, 300_000, 600_000])],
)
def test_a_run_on_a_full_disk_is_one_line(
    free: int, disk: Disk, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(disk.folder / f"run with {free}")
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    monkeypatch.setenv("FACTORY_DEFS", str(pipeline.folder.parent))
    prepare(home)
    with disk.filled(free):
        refused = CliRunner().invoke(main, ["run", "apples"])
    assert refused.exit_code == 2, refused.output
    assert "Traceback" not in refused.output
    [line] = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
    assert "free space" in line or "free disk space" in line
    assert not home.ledger.exists() or problems(home) == []
    done = CliRunner().invoke(main, ["run", "apples"])
    assert done.exit_code == 0, done.output
    assert problems(home) == []


def test_status_and_gc_work_on_a_full_disk(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FACTORY_DISK_KEEP")
    home, folder = Home(disk.folder / "looked after"), tmp_path / "defs" / "apples"
    enter(tmp_path, monkeypatch)
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    declare(folder, {key: APPLES[key] for key in ("purpose", "ingest")})
    # The records and tables of the first run are not needed any more, and entries name them.
    for rows in (300, 400):
        write_apples(folder, rows)
        assert _run("run", "apples")[0] == 0
    left = home.tmp / "1.99-dead" / "rows.parquet"
    left.parent.mkdir(parents=True)
    left.write_bytes(bytes(100_000))
    with disk.filled(0):
        code, text = _run("status")
        assert (code, "0 B of " in text, "disk full" in text) == (1, True, True), text
        assert json.loads(_run("status", "--json")[1])["disk"]["free"] == 0
        assert _run("gc")[0] == 0
        code, text = _run("gc", "--older-than", "0d", "--apply")
        assert (code, "removed " in text) == (0, True), text
        assert not left.exists()
        assert disk.free >= 100_000
    assert _run("verify")[0] == 0


@pytest.mark.parametrize("stage", ["deploy", *in_long(["train", *OTHERS])])
@pytest.mark.long
def test_what_a_full_disk_refused_succeeds_when_there_is_room(
    stage: Stage, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(disk.folder / f"again {stage}")
    enter(tmp_path, monkeypatch)
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    folder = tmp_path / "defs" / "apples"
    declare(folder, {**APPLES, "evaluate": {"gates": {"champion": "off"}}})
    write_apples(folder, ROWS)
    assert _run("run", "apples")[0] == 0
    answers = _predicted(folder)
    write_apples(folder, ROWS + 1)
    if before := STAGES[: STAGES.index(stage)]:
        assert _run("run", "apples", "--stages", ",".join(before))[0] == 0
    again = ("run", "apples", "--stages", stage)
    for free in (0, 20_000):
        with disk.filled(free):
            code, text = _run(*again)
        if not free or code:
            [line] = [line for line in text.splitlines() if line.startswith("error: ")]
            assert (code, "Traceback" in text) == (2, False), text
            assert "free space" in line or "free disk space" in line
        # Who served before serves, unless there was room enough.
        assert code == 0 or _predicted(folder) == answers
    assert _run(*again)[0] == 0
    assert _run("verify")[0] == 0


def _predicted(folder: Path) -> list[str]:
    code, text = _run("predict", "apples", str(folder / "data.csv"))
    assert code == 0, text
    # The last column has the ids of the answers.
    return [line.rpartition(",")[0] for line in text.splitlines()][:100]


def _run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, [*arguments])
    return done.exit_code, done.output


@pytest.mark.long
def test_a_factory_that_is_up_goes_on_when_there_is_room(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(disk.folder / "up")
    monkeypatch.delenv("FACTORY_DISK_KEEP")
    folder = tmp_path / "defs" / "apples"
    declare(folder, {**APPLES, "evaluate": {"gates": {"champion": "off"}}})
    write_apples(folder, ROWS)
    up = Up(home.path, tmp_path / "defs")
    factory = command(home.path, FACTORY_DEFS=str(folder.parent))
    try:
        assert end_of(up, launch(up)) == "SUCCESS"
        # A fiftieth of the disk is 4 MB.
        with disk.filled(3_500_000):
            write_apples(folder, ROWS + 1)
            refused = launch(up)
            assert end_of(up, refused) == "FAILURE"
            assert "but 4.0 MB must stay free" in str(up.ask(_ERRORS, id=refused))
            assert "disk full" in factory("status").stdout
        assert end_of(up, launch(up)) == "SUCCESS"
        write_apples(folder, ROWS + 2)
        # It fills while a run works: that one may succeed or not, or not even be told.
        during = launch(up)
        keeper(up, during)
        with disk.filled(0):
            time.sleep(3)
        assert end_of(up, during) in ("SUCCESS", "FAILURE")
        assert "timed out" not in str(messages(up, during)), "nobody noticed that it had died"
        assert end_of(up, launch(up)) == "SUCCESS"
        verified = factory("verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr
    finally:
        up.stop()


def end_of(up: Up, run: str) -> str:
    """Wait until a run has ended, and return how."""
    found = [""]

    def ended(_: Any) -> bool:
        found[0] = next(one["status"] for one in up.runs() if one["runId"] == run)
        return found[0] in ("SUCCESS", "FAILURE", "CANCELED")

    up.until("{version}", ended)
    return found[0]


def test_a_run_does_not_begin_to_fill_the_disk(
    disk: Disk, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(disk.folder / "kept")
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    monkeypatch.setenv("FACTORY_DEFS", str(pipeline.folder.parent))
    monkeypatch.delenv("FACTORY_DISK_KEEP")
    prepare(home)
    # A fiftieth of the disk is 4 MB, and a run needs less.
    with disk.filled(3_500_000):
        refused = CliRunner().invoke(main, ["run", "apples"])
        [line] = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
        assert (refused.exit_code, "but 4.0 MB must stay free" in line) == (2, True), line
        assert "disk full" in CliRunner().invoke(main, ["status"]).output
        monkeypatch.setenv("FACTORY_DISK_KEEP", "0")
        assert CliRunner().invoke(main, ["run", "apples"]).exit_code == 0


def _error_of(call: StageRequest) -> FactoryError | None:
    try:
        run_stage(call)
    except FactoryError as error:
        return error
    return None
