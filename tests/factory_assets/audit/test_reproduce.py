"""A version that a search found is trained again without a search."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from factory_assets.audit.reproduce import find_recorded_training, reproduce, with_threshold_rule
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.ml.artifacts.trained_model import load_trained
from factory_assets.results.model import Candidate
from factory_assets.results.stages import Stage
from factory_assets.spec import PipelineSpec
from factory_assets.spec.threshold import DEFAULT, BestMetric
from factory_assets.stages import train
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


@pytest.mark.slow
@pytest.mark.parametrize("earlier", [False, True])
def test_a_version_has_the_stored_types_of_its_time(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch, *, earlier: bool
) -> None:
    (tmp_path / "apples").mkdir()
    write_apples(tmp_path / "apples", rows=120)
    parts = {
        "ingest": {"source": {"files": "data.csv"}},
        "clean": {"derive": {"twice": "size * 2"}},
    }
    pipeline = declare(tmp_path / "apples", {**APPLES, **parts})
    prepare(home)
    stages: tuple[Stage, ...] = ("ingest", "clean", "split", "train")
    with monkeypatch.context() as patched:
        if earlier:
            patched.setattr(train, "as_ingested", lambda trained, _: trained)
        values = [run_stage(StageRequest(pipeline, stage, home, "r")).value for stage in stages]
    candidate = values[-1]
    assert isinstance(candidate, Candidate)
    stored = load_trained(candidate, home, pipeline.folder).description.ingest.contract
    assert stored.names == (() if earlier else ("size",))
    original = find_recorded_training("apples@1", home, {"apples": pipeline.folder})
    assert reproduce(original, home, lambda _: None).identical


def test_a_declaration_from_before_the_key_has_the_threshold_of_its_time(tmp_path: Path) -> None:
    pipeline = declare(tmp_path / "apples", {**APPLES, "evaluate": {"metric": "accuracy"}})
    document = json.loads(pipeline.spec.model_dump_json(by_alias=True))
    stored = replace(pipeline, spec=PipelineSpec.model_validate_json(json.dumps(document)))
    again = with_threshold_rule(stored, "binary").spec.decision_rule
    assert again == BestMetric(maximise="accuracy")
    del document["train"]["threshold"]
    older = replace(pipeline, spec=PipelineSpec.model_validate_json(json.dumps(document)))
    assert with_threshold_rule(older, "binary").spec.decision_rule == DEFAULT
    assert with_threshold_rule(older, "multiclass") is older
