"""A stage does not read rows whose file was changed, even if it has the same size."""

from pathlib import Path

import pytest

from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.stages import STAGES
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from tests.pipelines import APPLES, declare, write_apples

READ = {
    "clean": "ingest",
    "split": "clean",
    "train": "split_validation",
    "evaluate": "split_test",
    "deploy": "predictions",
}
"""Stage to a table that it reads."""


def _with_other_writer(content: bytes) -> bytes:
    """Return a Parquet file that reads as before, with another name of its writer."""
    changed = content.replace(b"DuckDB version", b"DuckDB Version")
    assert changed != content
    return changed


def test_no_stage_reads_a_changed_file(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    prepare(home)
    pipeline = declare(tmp_path / "apples", APPLES)
    write_apples(pipeline.folder)
    for stage in STAGES:
        call = StageRequest(pipeline, stage, home, "run")
        if stage in READ:
            [path] = (home.tables / "apples" / READ[stage]).glob("*.parquet")
            content = path.read_bytes()
            path.write_bytes(_with_other_writer(content))
            with pytest.raises(StorageError, match=r"its SHA-256 differs.*delete it and run again"):
                run_stage(call)
            path.write_bytes(content)
        run_stage(call)
