"""Searches: chosen settings, failed and pruned trials, MLflow runs, and resuming after a kill."""

from pathlib import Path
from typing import Any

import pytest

from factory_assets.components.metadata.stages import describe
from factory_assets.execution.requests import StageRequest, StageRun
from factory_assets.execution.runner import run_stage
from factory_assets.ml.artifacts.trained_model import load_trained
from factory_assets.results.data import SplitResult
from factory_assets.results.model import Candidate
from factory_assets.results.stages import STAGES
from factory_assets.spec import OwnModule, Pipeline
from factory_assets.stages.train import train
from factory_resources.errors import DataError, DeclarationError, ModelError
from factory_resources.home.home import Home
from factory_resources.tracking.registry import Registry
from tests.engines import server_in_long
from tests.factory_assets.ml.models.cases import SEQUENCES, keep, parts, pipeline, rows, series
from tests.factory_assets.ml.training.search_worker import MODEL, work
from tests.killed_steps import killed_at
from tests.long_run import in_long
from tests.pipelines import APPLES, declare, write_apples

pytestmark = pytest.mark.slow

BOOSTING: dict[str, Any] = {"kind": "gradient_boosting", "iterations": 15}


def trials(home: Home, parent: str) -> list[Any]:
    """Return the MLflow runs below a run, in the order of their trials."""
    return _below(home, "p", parent)


def _below(home: Home, name: str, parent: str) -> list[Any]:
    client = Registry(home).client
    runs = client.search_runs(
        [client.get_experiment_by_name(name).experiment_id],
        f"tags.`mlflow.parentRunId` = '{parent}'",
    )
    return sorted(runs, key=lambda run: int(run.info.run_name.split()[1]))


def searched(
    home: Home, folder: Path, model: dict[str, Any], task: str = "binary", **tune: Any
) -> Candidate:
    return train(pipeline(folder, model, tune=tune), parts(home, task), home)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One home for all tests: creating MLflow's tables takes longer than a search."""
    return Home(tmp_path_factory.mktemp("tuning") / "home")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Candidate]:
    folder = tmp_path_factory.mktemp("whole")
    return Home(folder / "home"), work(folder)


@pytest.mark.parametrize("task", ["binary", "regression", *in_long(["multiclass"])])
def test_search_returns_the_trial_best_on_validation_rows(
    task: str, home: Home, tmp_path: Path
) -> None:
    candidate = searched(home, tmp_path, BOOSTING, task, trials=5)
    plain = train(pipeline(tmp_path, BOOSTING), parts(home, task), home)
    tuned = candidate.tuned
    assert tuned
    assert len(tuned.trials) == 5
    metric = {"binary": "average_precision", "multiclass": "balanced_accuracy"}.get(task, "rmse")
    assert tuned.metric == metric
    assert tuned.trials[0].value == plain.validation[metric]
    assert tuned.trials[tuned.chosen].value == candidate.validation[metric]
    values = [t.value for t in tuned.trials if t.value is not None]
    best = max(values) if tuned.higher_is_better else min(values)
    assert candidate.validation[metric] == best
    assert tuned.chosen == values.index(best)


def test_chosen_settings_equal_those_of_the_stored_model(whole: tuple[Home, Candidate]) -> None:
    home, candidate = whole
    tuned = candidate.tuned
    assert tuned
    spec = load_trained(candidate, home, home.path).description.spec
    assert tuned.settings["learning_rate"] == str(spec.model_dump()["learning_rate"])
    assert tuned.settings["hidden"] == str(list(spec.model_dump()["hidden"]))
    params = Registry(home).client.get_run(candidate.run_id).data.params
    assert params["model.hidden"] == tuned.settings["hidden"]
    assert params["tune.trials"] == "7"


def test_every_trial_is_an_mlflow_run_below_the_candidates(whole: tuple[Home, Candidate]) -> None:
    home, candidate = whole
    tuned = candidate.tuned
    assert tuned
    runs = trials(home, candidate.run_id)
    assert [run.data.tags["state"] for run in runs] == [trial.state for trial in tuned.trials]
    for run, trial in zip(runs, tuned.trials, strict=True):
        assert set(run.data.params) == {"learning_rate", "hidden", "dropout"}
        assert run.data.metrics["epochs"] > 0
        assert run.data.metrics.get("validation_average_precision") == trial.value
    assert runs[0].data.params == {"learning_rate": "0.01", "hidden": "[8]", "dropout": "0.1"}


@server_in_long("prepared_engine")
@pytest.mark.usefixtures("prepared_engine")
@pytest.mark.long
def test_killed_search_resumes_and_finds_the_same_model(
    whole: tuple[Home, Candidate], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path / "home")
    killed_at("tests.factory_assets.ml.training.search_worker", tmp_path, "trial 4, epoch 4")
    [running] = [run for run in _runs(home) if run.info.status == "RUNNING" and _is_child(run)]
    assert running.info.run_name == "trial 4"
    done = {run.info.run_id for run in _runs(home) if "state" in run.data.tags}
    assert len(done) == 3
    candidate = work(tmp_path)
    output = capsys.readouterr().out
    assert output.startswith("trial 4, resumes in epoch 3, from its checkpoint")
    assert candidate.tuned == whole[1].tuned
    assert candidate.digest == whole[1].digest
    runs = trials(home, candidate.run_id)
    assert [run.info.run_name for run in runs] == [f"trial {i}" for i in range(1, 8)]
    assert {run.info.run_id for run in runs[:3]} == done
    assert [run for run in _runs(home) if run.info.status == "RUNNING"] == []


def _runs(home: Home) -> list[Any]:
    client = Registry(home).client
    return list(client.search_runs([client.get_experiment_by_name("p").experiment_id]))


def _is_child(run: Any) -> bool:
    return "mlflow.parentRunId" in run.data.tags


def test_hopeless_networks_are_pruned(home: Home, tmp_path: Path) -> None:
    wide = {"learning_rate": {"range": [1e-6, 0.05], "log": True}}
    candidate = searched(home, tmp_path, {**MODEL, "epochs": 5}, trials=8, search=wide)
    assert candidate.tuned
    assert candidate.tuned.figures()["pruned"] > 0
    for run, trial in zip(trials(home, candidate.run_id), candidate.tuned.trials, strict=True):
        assert (run.info.status == "KILLED") == (trial.state == "pruned")
        assert (run.data.metrics["epochs"] < 5) == (trial.state == "pruned")
    patient = searched(home, tmp_path, {**MODEL, "epochs": 5}, trials=8, search=wide, prune=False)
    assert patient.tuned
    assert patient.tuned.figures()["pruned"] == 0
    # Pruning did not lose the best trial.
    assert patient.validation == candidate.validation


def test_failed_trials_are_recorded_but_declared_settings_must_not_fail(
    home: Home, tmp_path: Path
) -> None:
    wild = {"learning_rate": {"values": [0.01, 1e30]}}
    candidate = searched(home, tmp_path, MODEL, "regression", trials=6, search=wild)
    assert candidate.tuned
    assert 0 < candidate.tuned.figures()["failed"] < 5
    failed = [r for r in trials(home, candidate.run_id) if r.info.status == "FAILED"]
    assert all("became NaN or infinite" in run.data.tags["why"] for run in failed)
    with pytest.raises(ModelError, match="became NaN or infinite"):
        searched(home, tmp_path, {**MODEL, "learning_rate": 1e30}, "regression", trials=2)


@pytest.mark.parametrize("budget", [{"minutes": 1e-6}, {"wh": 1e-12}])
def test_budget_ends_a_search_after_the_declared_settings(
    budget: dict[str, float], home: Home, tmp_path: Path
) -> None:
    candidate = searched(home, tmp_path, BOOSTING, **budget)
    assert candidate.tuned
    assert len(candidate.tuned.trials) == 1


def series_parts(home: Home) -> SplitResult:
    return parts(home).model_copy(
        update={
            "train": keep(home, "train", series(30, 1)),
            "validation": keep(home, "validation", series(10, 2)),
        }
    )


def test_trial_with_another_window_prepares_the_rows_again(home: Home, tmp_path: Path) -> None:
    model = {**SEQUENCES["gru"], "epochs": 1}
    windows = {"window": {"values": [2, 3]}}
    declared = pipeline(tmp_path, model, tune={"trials": 3, "search": windows})
    candidate = train(declared, series_parts(home), home)
    tried = [run.data.params["window"] for run in trials(home, candidate.run_id)]
    assert tried[0] == "6"
    assert set(tried[1:]) <= {"2", "3"}
    assert candidate.tuned
    layout = load_trained(candidate, home, tmp_path).features.series
    assert layout
    assert str(layout.window) == tried[candidate.tuned.chosen]


def test_incompatible_settings_fail_only_their_own_trial(home: Home, tmp_path: Path) -> None:
    both = {"hidden": {"values": [12, 8]}, "heads": {"values": [4, 3]}}
    model = {**SEQUENCES["transformer"], "epochs": 1, "hidden": 12}
    declared = pipeline(tmp_path, model, tune={"trials": 8, "search": both})
    candidate = train(declared, series_parts(home), home)
    for run in trials(home, candidate.run_id):
        impossible = run.data.params == {"hidden": "8", "heads": "3"}
        assert (run.info.status == "FAILED") == impossible
        assert not impossible or "not a multiple of heads" in run.data.tags["why"]
    assert candidate.tuned
    assert candidate.tuned.figures()["failed"] > 0


def test_metric_of_another_task_is_rejected(home: Home, tmp_path: Path) -> None:
    message = "'rmse' does not fit a binary target"
    with pytest.raises(DeclarationError, match=message) as caught:
        searched(home, tmp_path, BOOSTING, trials=2, metric="rmse")
    assert "roc_auc" in str(caught.value)
    assert "selection_rate" not in str(caught.value)


def test_no_loss_is_searched_for_classes(home: Home, tmp_path: Path) -> None:
    search = {"loss": {"values": ["squared_error", "absolute_error"]}}
    with pytest.raises(DeclarationError, match="the target has classes") as caught:
        searched(home, tmp_path, BOOSTING, trials=3, search=search)
    assert caught.value.where == "train.tune.search.loss"
    tuned = searched(home, tmp_path, BOOSTING, "regression", trials=3, search=search).tuned
    assert tuned
    assert tuned.figures()["failed"] == 0


def test_metric_undefined_on_the_validation_rows_is_rejected(home: Home, tmp_path: Path) -> None:
    table = rows(50, 2)
    ones = table.filter([value == 1 for value in table["y"].to_pylist()])
    split = parts(home).model_copy(update={"validation": keep(home, "ones", ones)})
    declared = pipeline(tmp_path, BOOSTING, tune={"trials": 2})
    with pytest.raises(DataError, match="average_precision is undefined on the held-out rows"):
        train(declared, split, home)


def test_search_over_arguments_of_a_users_estimator(home: Home, tmp_path: Path) -> None:
    own = {"python": "sklearn.tree:DecisionTreeClassifier", "args": {"max_depth": 1}}
    candidate = searched(home, tmp_path, own, trials=4, search={"args.max_depth": [2, 6]})
    assert candidate.tuned
    assert candidate.tuned.figures()["failed"] == 0
    assert candidate.tuned.settings == {"args.max_depth": str(_depth(candidate, home, tmp_path))}
    assert candidate.tuned.chosen > 0
    with pytest.raises(DeclarationError, match="learning_rate is a setting for training networks"):
        searched(home, tmp_path, own, trials=4)


def _depth(candidate: Candidate, home: Home, folder: Path) -> int:
    spec = load_trained(candidate, home, folder).description.spec
    assert isinstance(spec, OwnModule)
    return int(spec.args["max_depth"])


def test_a_pipeline_with_a_search_is_reused_like_any_other(tmp_path: Path) -> None:
    home, folder = Home(tmp_path / "home"), tmp_path / "apples"
    train = {**APPLES["train"], "tune": {"trials": 3}}
    declared = declare(folder, {**APPLES, "train": train})
    write_apples(folder)
    first = _run_stages(declared, home)
    assert not any(outcome.reused for outcome in first.values())
    assert all(outcome.reused for outcome in _run_stages(declared, home).values())
    call = StageRequest(declared, "train", home, "run", reuse=False)
    again = run_stage(call)
    value, before = again.value, first["train"].value
    assert isinstance(value, Candidate)
    assert isinstance(before, Candidate)
    assert (value.digest, value.tuned) == (before.digest, before.tuned)
    assert len(_below(home, "apples", value.run_id)) == 3
    assert [*home.checkpoints.glob("*/*")] == []
    metadata, _ = describe(call, again)
    assert "| trials | 3 |" in metadata["search"].value
    assert "| regularisation |" in metadata["search"].value
    more = declare(folder, {**APPLES, "train": {**train, "tune": {"trials": 4}}})
    outcomes = _run_stages(more, home)
    assert next(stage for stage, outcome in outcomes.items() if not outcome.reused) == "train"


def _run_stages(declared: Pipeline, home: Home) -> dict[str, StageRun]:
    return {stage: run_stage(StageRequest(declared, stage, home, "run")) for stage in STAGES[:4]}


def test_search_does_not_read_test_rows(home: Home, tmp_path: Path) -> None:
    declared, split = pipeline(tmp_path, BOOSTING, tune={"trials": 3}), parts(home)
    for path in split.test.paths(home):
        path.unlink()
    assert train(declared, split, home).tuned
