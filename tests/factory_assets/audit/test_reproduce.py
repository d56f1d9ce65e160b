"""A version that a search found is trained again without a search."""

from pathlib import Path

import pytest

from factory_assets.audit.reproduce import find_recorded_training, reproduce
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.model import Candidate
from factory_assets.results.stages import Stage
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from tests.pipelines import APPLES, declare, write_apples


@pytest.mark.slow
def test_a_searched_and_calibrated_version_is_identical(tmp_path: Path, home: Home) -> None:
    (tmp_path / "apples").mkdir()
    write_apples(tmp_path / "apples", rows=120)
    train = {
        "target": "label",
        "model": {"kind": "gradient_boosting", "iterations": 10},
        "tune": {"trials": 2},
        "calibrate": "auto",
    }
    pipeline = declare(tmp_path / "apples", {**APPLES, "train": train})
    prepare(home)
    stages: tuple[Stage, ...] = ("ingest", "clean", "split", "train")
    values = [run_stage(StageRequest(pipeline, stage, home, "r")).value for stage in stages]
    candidate = values[-1]
    assert isinstance(candidate, Candidate)
    assert candidate.tuned
    messages: list[str] = []
    original = find_recorded_training("apples@1", home, {"apples": pipeline.folder})
    result = reproduce(original, home, messages.append)
    assert result.identical
    assert result.digest_now == candidate.digest
    assert not [message for message in messages if "trial" in message]
