"""Statistics of the target in training: no label gives itself away, and who else trains agrees."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from factory_assets.ml.attribution.retraining import make_retrainer
from factory_assets.ml.features import target_statistics
from factory_assets.ml.features.arrays import LabelledArrays
from factory_assets.ml.features.columns import read_words
from factory_assets.ml.features.fold_statistics import FoldStatistics
from factory_assets.ml.models.kinds import model_class
from factory_assets.ml.training.fitting import fit
from factory_assets.ml.training.inner_folds import COUNT
from factory_assets.ml.training.preparation import TrainingData, prepare_rows
from factory_assets.results.model import Refit
from factory_assets.spec import Pipeline
from factory_assets.spec.split import SplitRule
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import KINDS, pipeline, towns

pytestmark = pytest.mark.slow

BOOSTING = {"kind": "gradient_boosting", "iterations": 10}

AUTO = {"kind": "auto", "members": [BOOSTING, {"kind": "linear"}]}


def declared(folder: Path, model: dict[str, Any], **split: Any) -> Pipeline:
    made = pipeline(folder, model, categorical=("town",), refit="auto")
    rule = SplitRule.model_validate(split)
    return replace(made, spec=made.spec.model_copy(update={"split": rule}))


@pytest.mark.parametrize("model", [BOOSTING, AUTO], ids=["gradient_boosting", "auto"])
def test_labels_by_chance_are_held_out_by_chance(
    model: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the words of a table seem to differ, as one table in a hundred does by chance."""
    monkeypatch.setattr(target_statistics, "SIGNIFICANCE", 1)
    tables = _by_chance(1600, 8), _by_chance(180, 9)
    made, left_out, without = declared(tmp_path, model), set(), FoldStatistics.without

    def noting(self: FoldStatistics, fold: int, rows: LabelledArrays) -> LabelledArrays:
        left_out.add(fold)
        return without(self, fold, rows)

    monkeypatch.setattr(FoldStatistics, "without", noting)
    result = fit(made, *tables, Home(tmp_path / "home"))
    assert left_out == set(range(COUNT))
    assert any(result.trained.features.statistics_places())
    assert len(result.scored.truth) == 1780
    held_out = roc_auc_score(result.scored.truth, result.scored.outputs[:, 1])
    assert held_out == pytest.approx(0.5, abs=0.05)
    fresh = _by_chance(2000, 10)
    new = roc_auc_score(fresh["y"].to_numpy(), result.trained.outputs(fresh)[:, 1])
    assert new == pytest.approx(0.5, abs=0.05)


def _by_chance(count: int, seed: int) -> pa.Table:
    chance = np.random.default_rng(seed)
    names = [f"w{i}" for i in chance.integers(0, 300, count)]
    table = {"heat": chance.normal(size=count), "town": names, "y": chance.integers(0, 2, count)}
    return pa.table({"_file": ["f"] * count, "_row": np.arange(1, count + 1), **table})


@pytest.mark.parametrize("kind", ["linear", "gradient_boosting"])
def test_many_words_that_matter_improve_the_model(kind: str, tmp_path: Path) -> None:
    made = declared(tmp_path, KINDS[kind])
    table = towns(3000, 1)
    new, scores = towns(2000, 3), []
    for significance in (0.01, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(target_statistics, "SIGNIFICANCE", significance)
            trained = fit(made, table, towns(300, 2), Home(tmp_path / "home")).trained
        scores.append(roc_auc_score(new["y"].to_numpy(), trained.outputs(new)[:, 1]))
    assert scores[0] > scores[1] + 0.03


SPLITS: dict[str, dict[str, Any]] = {
    "drawn": {},
    "by time": {"time": "wear"},
    "by group": {"group": "patient"},
}


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
def test_the_target_of_a_fold_is_unknown_to_its_rows(split: dict[str, Any], tmp_path: Path) -> None:
    ready, table = _prepared(tmp_path, split)
    found = ready.statistics
    assert found is not None
    assert (ready.folds is None) == ("time" in split)
    own = found.folds[: table.num_rows] == 0
    learned = found.learned.copy()
    learned[own] += 1e6
    poisoned = replace(found, learned=learned).of_training(ready.rows).inputs.numbers
    np.testing.assert_array_equal(poisoned[own], ready.rows.inputs.numbers[own])
    assert (poisoned != ready.rows.inputs.numbers).any()
    if "group" in split:
        patients = table["patient"].to_numpy()
        assert not set(patients[own]) & set(patients[~own])


def _prepared(folder: Path, split: dict[str, Any]) -> tuple[TrainingData, pa.Table]:
    made = declared(folder, KINDS["linear"], **split)
    tables = _of_patients()
    return prepare_rows(made, *tables, made.spec.training.model), tables[0]


def _of_patients(groups: int = 750) -> tuple[pa.Table, pa.Table]:
    """Return training and validation rows of so many patients."""
    training, validation = (
        table.append_column("patient", pa.array(np.arange(table.num_rows) % groups))
        for table in (towns(3000, 1), towns(300, 2))
    )
    return training, validation


def test_fewer_groups_than_folds_have_no_statistics(tmp_path: Path) -> None:
    made = declared(tmp_path, KINDS["linear"], group="patient")
    ready = prepare_rows(made, *_of_patients(COUNT - 1), made.spec.training.model)
    assert ready.statistics is None
    assert not any(ready.features.statistics_places())


def test_validation_rows_have_the_statistics_of_all_training_rows(tmp_path: Path) -> None:
    ready, _ = _prepared(tmp_path, {})
    [(_, fitted, columns)] = ready.features.statistics_places()
    words = read_words(towns(300, 2), "town")
    places = np.array([fitted.words.index(w) + 1 if w in fitted.words else 0 for w in words])
    expected = fitted.table(scaled=True)[places]
    np.testing.assert_array_equal(ready.validation.inputs.numbers[:, columns], expected)


@pytest.mark.parametrize(
    ("model", "split"),
    [*((KINDS["linear"], split) for split in SPLITS.values()), (AUTO, {})],
    ids=[*SPLITS, "auto"],
)
def test_a_training_that_is_repeated_for_influence_reads_the_same_rows(
    model: dict[str, Any], split: dict[str, Any], tmp_path: Path
) -> None:
    made = declared(tmp_path, model, **split)
    tables, home = _of_patients(), Home(tmp_path / "home")
    fitted = fit(made, *tables, home)
    trained = fitted.trained
    learner = make_retrainer(made, trained, *tables, home, Refit(), fitted.portfolio)
    again = learner.fit(None, 0)
    inputs = trained.features.arrays(tables[1], scaled=trained.model.scaled)
    np.testing.assert_array_equal(again.outputs(inputs), trained.model.outputs(inputs))


@pytest.mark.parametrize(
    ("model", "reads"),
    [
        (KINDS["extra_trees"], True),
        (KINDS["lightgbm"], True),
        (KINDS["mlp"], True),
        (KINDS["tabm"], True),
        (AUTO, True),
        ({"kind": "gru", "by": "unit", "order": "cycle", "window": 6}, False),
        ({"kind": "cnn", "image": "picture"}, False),
        ({"python": "sklearn.tree:DecisionTreeClassifier"}, False),
    ],
)
def test_kinds_of_the_factory_that_read_single_rows_read_statistics(
    model: dict[str, Any], reads: bool, tmp_path: Path
) -> None:
    spec = pipeline(tmp_path, model).spec.training.model
    assert model_class(spec, tmp_path).statistics == reads
