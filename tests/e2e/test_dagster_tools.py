"""Dagster's own commands, `dg` and `dagster`, find the factory from any directory."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from factory_resources.home.home import PROJECT, Home
from factory_resources.instance import prepare
from tests.own_code import copy_code

pytestmark = pytest.mark.slow


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    prepare(Home.from_env())
    return dict(os.environ)


def _run(environment: dict[str, str], cwd: Path, *command: str) -> str:
    tool = Path(sys.executable).with_name(command[0])
    done = subprocess.run(
        [tool, *command[1:]],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_dg_lists_the_declared_assets_jobs_and_schedules(environment: dict[str, str]) -> None:
    listed = json.loads(_run(environment, PROJECT, "dg", "list", "defs", "--json"))
    keys = {asset["asset_key"] for asset in listed["assets"]}
    assert {"machine_failure/ingest", "tumour_diagnosis/deploy"} <= keys
    assert {job["name"] for job in listed["jobs"]} >= {"machine_failure", "tumour_diagnosis"}
    assert "machine_failure_schedule" in {schedule["name"] for schedule in listed["schedules"]}


def test_dg_scaffolds_a_declaration_that_passes_factory_check(
    environment: dict[str, str], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    for name in ("factory_assets", "factory_resources", "schedules"):
        copy_code(name, copy)
    shutil.copy(PROJECT / "pyproject.toml", copy)
    environment["PYTHONPATH"] = str(copy)
    _run(environment, copy, "dg", "scaffold", "defs", "factory_assets.ModelPipeline", "fraud")
    text = (copy / "factory_assets" / "defs" / "fraud" / "defs.yaml").read_text()
    assert text.count("#") > 5
    environment["FACTORY_DEFS"] = str(copy / "factory_assets" / "defs")
    assert "no problems" in _run(environment, copy, "factory", "check", "fraud")


@pytest.mark.long
def test_dagster_validates_the_workspace_from_any_directory(
    environment: dict[str, str], tmp_path: Path
) -> None:
    workspace = str(PROJECT / "workspace.yaml")
    _run(environment, tmp_path, "dagster", "definitions", "validate", "-w", workspace)
