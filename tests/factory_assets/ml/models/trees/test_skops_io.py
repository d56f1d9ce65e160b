"""A run that stores a model of scikit-learn does not import PyTorch."""

import sys
from pathlib import Path

import pytest

from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.stages import STAGES
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from tests.killed_steps import run_whole
from tests.pipelines import APPLES, declare, write_apples


def _run_without_torch(root: Path) -> None:
    write_apples(root / "apples")
    forest = {"target": "label", "model": {"kind": "random_forest", "trees": 3}}
    pipeline = declare(root / "apples", {**APPLES, "train": forest})
    home = Home(root / "home")
    prepare(home)
    for stage in STAGES:
        run_stage(StageRequest(pipeline, stage, home, "run"))
    assert "skops.io" in sys.modules
    assert "torch" not in sys.modules


@pytest.mark.slow
def test_a_forest_is_trained_judged_and_exported_without_torch(tmp_path: Path) -> None:
    run_whole(_run_without_torch, tmp_path)
