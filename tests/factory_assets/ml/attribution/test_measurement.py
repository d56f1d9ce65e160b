"""Influence of a candidate, measured by evaluate and kept with it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factory_assets.components.metadata.evaluation import influence as in_words
from factory_assets.execution.cache_key import relevant_spec
from factory_assets.ml.artifacts.trained_model import load_trained
from factory_assets.ml.attribution.retraining import load_seeds, make_retrainer
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import EvaluationResult, InfluenceQuality
from factory_assets.spec import Evaluate, Pipeline
from factory_assets.stages.evaluate import evaluate
from factory_assets.stages.train import train
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow
from factory_resources.tracking.registry import Registry
from tests.factory_assets.ml.evaluation.cases import evaluating, with_spec
from tests.factory_assets.ml.models.cases import KINDS, SEQUENCES, keep, parts, series

pytestmark = pytest.mark.slow

SMALL = {"seeds": 2, "subsets": 8, "rows": 6, "at_least": 0.0}

NETWORK = {**KINDS["mlp"], "hidden": [6], "epochs": 8, "dropout": 0.0, "weight_decay": 1.0}


def judged(
    folder: Path, model: dict[str, Any], given: SplitResult, home: Home, **influence: Any
) -> tuple[Pipeline, EvaluationResult]:
    asked = {"influence": {**SMALL, **influence}, "importances": 0, "bootstrap": 0}
    made = evaluating(folder, model, asked)
    candidate = train(made, given, home)
    return made, evaluate(made, given, candidate, home, champion=None)


def of(verdict: EvaluationResult) -> InfluenceQuality:
    assert verdict.influence is not None
    return verdict.influence


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_a_linear_model_is_foretold(task: str, tmp_path: Path, home: Home) -> None:
    _, verdict = judged(tmp_path, KINDS["linear"], parts(home, task, count=150), home, subsets=12)
    found = of(verdict)
    assert (found.reach, found.variant.by) == ("all parameters", "gradients")
    assert 0.5 < found.score <= 1
    assert (found.ceiling, found.digest) == (1, None)
    assert found.trainings == 12 + 6
    assert "12 random halves" in in_words(found)


def test_further_networks_are_kept_and_checked(tmp_path: Path, home: Home) -> None:
    given = parts(home, "binary", count=150)
    made, verdict = judged(tmp_path, NETWORK, given, home)
    found, candidate = of(verdict), verdict.candidate
    assert found.digest is not None
    assert found.trainings == 1 + 2 * 8 + 6
    run = Registry(home).client.get_run(candidate.run_id)
    assert run.data.metrics["influence_lds"] == pytest.approx(found.score)

    trained = load_trained(candidate, home, tmp_path)
    tables = [read_arrow(part, home) for part in (given.train, given.validation)]
    learner = make_retrainer(made, trained, *tables, home)
    [kept] = load_seeds(learner, candidate, found)
    inputs = learner.training.inputs
    np.testing.assert_array_equal(kept.outputs(inputs), learner.fit(None, 1).outputs(inputs))
    assert not np.array_equal(kept.outputs(inputs), trained.model.outputs(inputs))

    folder = Registry(home).run_files(candidate.model, candidate.run_id) / "influence"
    [weights] = folder.rglob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(ModelError, match="is not the one that was trained"):
        load_seeds(learner, candidate, found)


def test_an_ensemble_brings_its_own_seeds(tmp_path: Path, home: Home) -> None:
    model = {**NETWORK, "ensemble": 2}
    _, verdict = judged(tmp_path, model, parts(home, "binary", count=150), home)
    assert of(verdict).digest is None
    assert of(verdict).trainings == 2 * 8 + 6


def test_trees_are_told_by_their_neighbours(tmp_path: Path, home: Home) -> None:
    model = {"kind": "random_forest", "trees": 10}
    _, verdict = judged(tmp_path, model, parts(home, "binary", count=150), home)
    assert of(verdict).reach == "nearest neighbours"
    assert of(verdict).variant.by in {"inputs", "leaves"}


def test_windows_are_told_by_the_last_layer(tmp_path: Path, home: Home) -> None:
    names = ("train", "validation", "test")
    given = SplitResult(**{part: keep(home, part, series(12, i)) for i, part in enumerate(names)})
    model = {**SEQUENCES["gru"], "epochs": 2}
    _, verdict = judged(tmp_path, model, given, home)
    assert of(verdict).reach == "last layer"
    assert np.isfinite(of(verdict).score)


def test_it_is_opt_in_and_of_evaluate_alone(tmp_path: Path) -> None:
    plain = evaluating(tmp_path, KINDS["linear"], {})
    assert plain.spec.evaluate.influence is None
    asked = with_spec(plain, evaluate=Evaluate.model_validate({"influence": {}}))
    assert asked.spec.evaluate.influence.subsets == 32
    assert relevant_spec(plain, "train") == relevant_spec(asked, "train")
    assert relevant_spec(plain, "evaluate") != relevant_spec(asked, "evaluate")
