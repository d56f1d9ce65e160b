"""Influence of a candidate: measured by evaluate, and stored with the candidate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factory_assets.components.metadata.evaluation import influence as markdown
from factory_assets.execution.cache_key import relevant_spec
from factory_assets.ml.artifacts.trained_model import load_trained
from factory_assets.ml.attribution.retraining import load_seeds, make_retrainer
from factory_assets.ml.attribution.retraining_tasks import RetrainingTask
from factory_assets.ml.models.portfolio.blend import BlendModel
from factory_assets.ml.training.fit_tasks import FitTask, FittedTask
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import EvaluationResult, InfluenceQuality
from factory_assets.spec import Evaluate, Pipeline
from factory_assets.stages.evaluate import evaluate
from factory_assets.stages.train import train
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.metering.meter import Meter, Rates
from factory_resources.progress import Progress
from factory_resources.tables.snapshot import read_arrow
from factory_resources.tracking.registry import Registry
from tests.factory_assets.ml.evaluation.cases import evaluating, with_spec
from tests.factory_assets.ml.models.cases import KINDS, SEQUENCES, keep, parts, series

pytestmark = pytest.mark.slow

SMALL = {"seeds": 2, "subsets": 8, "rows": 6, "at_least": 0.0}

NETWORK = {**KINDS["mlp"], "hidden": [6], "epochs": 8, "dropout": 0.0, "weight_decay": 1.0}


def judged(
    folder: Path,
    model: dict[str, Any],
    split: SplitResult,
    home: Home,
    *,
    apart: bool = False,
    **influence: Any,
) -> tuple[Pipeline, EvaluationResult]:
    settings = {"influence": {**SMALL, **influence}, "importances": 0, "bootstrap": 0}
    declared = evaluating(folder, model, settings)
    candidate = train(declared, split, home)
    executor = SentTasks(declared, home) if apart else None
    return declared, evaluate(declared, split, candidate, home, champion=None, executor=executor)


@dataclass(frozen=True)
class SentTasks:
    """Does tasks here, from the JSON that another process would get."""

    pipeline: Pipeline
    home: Home

    def map(self, tasks: Sequence[FitTask], progress: Progress) -> Iterator[FittedTask]:
        prepared = None
        for task in tasks:
            sent = RetrainingTask.model_validate_json(task.model_dump_json())
            prepared = prepared or sent.prepare(self.pipeline, self.home)
            with self.home.scratch() as files, Meter(Rates.from_env()) as meter:
                sent.run(prepared, files, progress)
                yield FittedTask(files, meter.read())


def quality(verdict: EvaluationResult) -> InfluenceQuality:
    assert verdict.influence is not None
    return verdict.influence


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_influence_predicts_a_linear_model(task: str, tmp_path: Path, home: Home) -> None:
    _, verdict = judged(tmp_path, KINDS["linear"], parts(home, task, count=150), home, subsets=12)
    influence = quality(verdict)
    assert (influence.reach, influence.variant.by) == ("all parameters", "gradients")
    assert 0.5 < influence.score <= 1
    assert (influence.ceiling, influence.digest) == (1, None)
    assert influence.trainings == 12 + 6
    assert "12 random halves" in markdown(influence)


def test_further_networks_are_stored_and_verified_on_loading(tmp_path: Path, home: Home) -> None:
    split = parts(home, "binary", count=150)
    declared, verdict = judged(tmp_path, NETWORK, split, home)
    influence, candidate = quality(verdict), verdict.candidate
    assert influence.digest is not None
    assert influence.trainings == 1 + 2 * 8 + 6
    run = Registry(home).client.get_run(candidate.run_id)
    assert run.data.metrics["influence_lds"] == pytest.approx(influence.score)

    trained = load_trained(candidate, home, tmp_path)
    tables = [read_arrow(part, home) for part in (split.train, split.validation)]
    learner = make_retrainer(declared, trained, *tables, home, candidate.refit)
    [loaded] = load_seeds(learner, candidate, influence)
    inputs = learner.training.inputs
    np.testing.assert_array_equal(loaded.outputs(inputs), learner.fit(None, 1).outputs(inputs))
    assert not np.array_equal(loaded.outputs(inputs), trained.model.outputs(inputs))

    folder = Registry(home).run_files(candidate.model, candidate.run_id) / "influence"
    [weights] = folder.rglob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    with pytest.raises(ModelError, match="is not the one that was trained"):
        load_seeds(learner, candidate, influence)


@pytest.mark.long
def test_ensemble_needs_no_further_networks(tmp_path: Path, home: Home) -> None:
    model = {**NETWORK, "ensemble": 2}
    _, verdict = judged(tmp_path, model, parts(home, "binary", count=150), home)
    assert quality(verdict).digest is None
    assert quality(verdict).trainings == 2 * 8 + 6


def test_influence_on_an_estimator_of_ones_own_uses_neighbours(tmp_path: Path, home: Home) -> None:
    model = {"python": "sklearn.tree:DecisionTreeClassifier"}
    _, verdict = judged(tmp_path, model, parts(home, "binary", count=150), home)
    assert quality(verdict).reach == "nearest neighbours"
    assert quality(verdict).variant.by == "inputs"


@pytest.mark.long
def test_the_networks_of_a_blend_are_stored_from_further_seeds(tmp_path: Path, home: Home) -> None:
    members = [{"kind": "extra_trees", "trees": 5}, NETWORK]
    split = parts(home, "binary", count=150)
    model = {"kind": "auto", "members": members}
    declared, verdict = judged(tmp_path, model, split, home, apart=True)
    influence, candidate = quality(verdict), verdict.candidate
    assert candidate.portfolio is not None
    assert [member.rounds for member in candidate.portfolio.members] == [None, 8]
    assert influence.trainings == 1 + 2 * 8 + 6

    trained = load_trained(candidate, home, tmp_path)
    tables = [read_arrow(part, home) for part in (split.train, split.validation)]
    learner = make_retrainer(declared, trained, *tables, home, candidate.refit, candidate.portfolio)
    inputs = learner.training.inputs
    np.testing.assert_array_equal(
        learner.fit(None, 0).outputs(inputs), trained.model.outputs(inputs)
    )
    [loaded] = load_seeds(learner, candidate, influence)
    assert isinstance(loaded, BlendModel)
    assert [*loaded.kept] == [1]
    again = learner.fit(None, 1, "networks")
    np.testing.assert_array_equal(loaded.outputs(inputs), again.outputs(inputs))


@pytest.mark.long
def test_influence_on_a_recurrent_network_uses_the_last_layer(tmp_path: Path, home: Home) -> None:
    names = ("train", "validation", "test")
    split = SplitResult(**{part: keep(home, part, series(12, i)) for i, part in enumerate(names)})
    model = {**SEQUENCES["gru"], "epochs": 2}
    _, verdict = judged(tmp_path, model, split, home)
    assert quality(verdict).reach == "last layer"
    assert np.isfinite(quality(verdict).score)


def test_influence_is_optional_and_changes_only_the_key_of_evaluate(tmp_path: Path) -> None:
    plain = evaluating(tmp_path, KINDS["linear"], {})
    assert plain.spec.evaluate.influence is None
    declared = with_spec(plain, evaluate=Evaluate.model_validate({"influence": {}}))
    assert declared.spec.evaluate.influence.subsets == 32
    assert relevant_spec(plain, "train") == relevant_spec(declared, "train")
    assert relevant_spec(plain, "evaluate") != relevant_spec(declared, "evaluate")
