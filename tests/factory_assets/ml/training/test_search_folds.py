"""Where rows are few, the rows of all inner folds judge each trial of a search."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from factory_assets.ml.artifacts.trained_model import save_trained
from factory_assets.ml.training.fitting import Fitter, fit
from factory_assets.ml.training.preparation import read_training_data
from factory_assets.results.data import SplitResult
from factory_assets.results.model import Candidate, Refit
from factory_assets.stages.train import train
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow
from factory_resources.tracking.registry import Registry
from tests.factory_assets.ml.models.cases import keep, parts, pipeline, towns

pytestmark = pytest.mark.slow

LINEAR: dict[str, Any] = {"kind": "linear"}
SEARCH = {"regularisation": {"range": [1e-3, 1e6], "log": True}}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("folds") / "home")


def searched(
    home: Home, folder: Path, split: SplitResult, categorical: Sequence[str] = (), **tune: Any
) -> Candidate:
    given = {"refit": "auto", "tune": {"search": SEARCH, **tune}, "categorical": categorical}
    declared = pipeline(folder, LINEAR, **given)
    return train(declared, split, home)


def trials(home: Home, parent: str) -> list[Any]:
    """Return the MLflow runs of the trials of a candidate, in their order."""
    client = Registry(home).client
    runs = client.search_runs(
        [client.get_experiment_by_name("p").experiment_id],
        f"tags.`mlflow.parentRunId` = '{parent}'",
    )
    return sorted(runs, key=lambda run: int(run.info.run_name.split()[1]))


def test_a_trial_is_worth_what_a_training_with_its_settings_is_worth(
    home: Home, tmp_path: Path
) -> None:
    """Also where words are read as statistics of the target, which leave the fold out."""
    split = parts(home).model_copy(
        update={
            "train": keep(home, "towns", towns(900, 1)),
            "validation": keep(home, "other_towns", towns(200, 2)),
        }
    )
    candidate = searched(home, tmp_path, split, ["town"], trials=3)
    assert candidate.tuned
    assert candidate.refit == Refit(folds=5)
    assert candidate.rows == 1100
    runs = trials(home, candidate.run_id)
    assert len(runs) == 3
    for number, (run, trial) in enumerate(zip(runs, candidate.tuned.trials, strict=True)):
        settings = {name: float(value) for name, value in run.data.params.items()}
        declared = pipeline(tmp_path, {**LINEAR, **settings}, refit="auto", categorical=["town"])
        model = declared.spec.training.model
        _, ready = read_training_data(declared, split.train, split.validation, home, model)
        assert ready.statistics is not None
        alone = Fitter(declared, ready, home, model).fit()
        assert trial.value == alone.validation[candidate.tuned.metric]
        if number == candidate.tuned.chosen:
            (tmp_path / "alone").mkdir()
            assert save_trained(alone.trained, tmp_path / "alone") == candidate.digest
            assert candidate.validation == alone.validation


def test_a_trial_ends_after_the_fold_where_half_of_the_others_were_better(
    home: Home, tmp_path: Path
) -> None:
    split = parts(home, "regression", count=120)
    candidate = searched(home, tmp_path, split, trials=9)
    assert candidate.tuned
    assert candidate.tuned.figures()["pruned"] > 0
    for run, trial in zip(trials(home, candidate.run_id), candidate.tuned.trials, strict=True):
        pruned = "inner folds, half of the other trials were better" in run.data.tags.get("why", "")
        assert pruned == (trial.state == "pruned")
    patient = searched(home, tmp_path, split, trials=9, prune=False)
    assert patient.tuned
    assert patient.tuned.figures()["pruned"] == 0
    assert patient.digest == candidate.digest


def test_the_validation_rows_judge_where_folds_are_declined(home: Home, tmp_path: Path) -> None:
    split = parts(home, count=120)
    tables = read_arrow(split.train, home), read_arrow(split.validation, home)
    candidate = searched(home, tmp_path, split, trials=2, folds="never")
    alone = fit(pipeline(tmp_path, LINEAR), *tables, home)
    assert candidate.tuned
    assert candidate.tuned.trials[0].value == alone.validation[candidate.tuned.metric]
    assert candidate.refit == Refit(folds=5)


class Killed(BaseException):
    """Ends a training as abruptly as is possible within a process."""


def test_a_trial_killed_in_a_fold_goes_on_there(home: Home, tmp_path: Path) -> None:
    split = parts(home, count=120)
    often = {"checkpoint": {"seconds": 1e9, "epochs": 1}}
    model = {"kind": "mlp", "hidden": [4], "epochs": 2}
    declared = pipeline(tmp_path, model, refit="auto", trainer=often, tune={"trials": 1})
    whole = train(declared, split, home)

    def kill(text: str) -> None:
        if text.startswith("trial 1, inner fold 3 of 5, epoch 2"):
            raise Killed

    folder = home.checkpoints / "p" / "k"
    with pytest.raises(Killed):
        train(declared, split, home, progress=kill, checkpoints=folder)
    said: list[str] = []
    resumed = train(declared, split, home, progress=said.append, checkpoints=folder)
    assert (resumed.digest, resumed.tuned) == (whole.digest, whole.tuned)
    assert sum(line.endswith("is complete, from its checkpoint") for line in said) == 2
    assert "trial 1, inner fold 3 of 5, resumes in epoch 2, from its checkpoint" in said
    # The kept model is fitted once more, not without each fold again.
    assert not any(line.startswith("inner fold") for line in said)
