"""The kept model learns from all rows but the test rows, and nothing decides by rows it knows."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from factory_assets.ml.artifacts.trained_model import save_trained
from factory_assets.ml.training import out_of_core, refit
from factory_assets.ml.training.fit_result import FitResult, load_fit, save_fit
from factory_assets.ml.training.fitting import Fitter, fit, fit_context
from factory_assets.ml.training.held_out import HeldOut
from factory_assets.ml.training.preparation import prepare_rows
from factory_assets.results.model import Refit
from factory_assets.spec.base import STORED
from factory_assets.spec.train import Train
from factory_assets.stages.train import train
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import fetched_paths, read_arrow
from factory_resources.tracking.registry import Registry
from tests.factory_assets.ml.models.cases import KINDS, parts, pipeline, rows

LINEAR = {"kind": "linear"}
BOOSTING = {"kind": "gradient_boosting", "iterations": 20, "patience": 3}
LIGHTGBM = {"kind": "lightgbm", "iterations": 20, "patience": 3}
MLP = {"kind": "mlp", "hidden": [8], "epochs": 5, "ensemble": 2}
FOREST = {"kind": "random_forest", "trees": 30}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat all tables as large enough for a validation part."""
    limit_folds(monkeypatch, rows=0)


def limit_folds(patch: pytest.MonkeyPatch, rows: int) -> None:
    """Let inner folds decide for fewer rows than these, whatever the classes."""
    patch.setattr(refit, "FEW_ROWS", rows)
    patch.setattr(refit, "FEW_OF_A_CLASS", 0)


def fitted(folder: Path, model: dict[str, Any], home: Home, **given: Any) -> FitResult:
    declared = pipeline(folder, model, **{"refit": "auto", **given})
    return fit(declared, rows(120, 1), rows(40, 2), home)


def digest(result: FitResult, folder: Path) -> str:
    folder.mkdir()
    return save_trained(result.trained, folder)


def rounds_of(result: FitResult) -> int:
    model: Any = result.trained.model
    if hasattr(model, "_booster"):
        return int(model._booster.num_trees())
    return len(model.estimator._predictors)


@pytest.mark.parametrize("model", [BOOSTING, LIGHTGBM])
def test_trees_grow_as_often_as_found_before_and_on_all_rows(
    model: dict[str, Any], many: None, tmp_path: Path, home: Home
) -> None:
    once = fitted(tmp_path, model, home, refit="never")
    kept = fitted(tmp_path, model, home)
    assert kept.refit == Refit(rounds=once.rounds)
    assert rounds_of(kept) == rounds_of(once) == once.rounds
    assert kept.history == once.history
    assert kept.trained.description == once.trained.description
    np.testing.assert_array_equal(kept.scored.outputs, once.scored.outputs)
    assert digest(kept, tmp_path / "kept") != digest(once, tmp_path / "once")
    assert once.refit is None

    whole = pa.concat_tables([rows(120, 1), rows(40, 2)])
    declared = pipeline(tmp_path, model)
    ready = prepare_rows(declared, rows(120, 1), rows(40, 2), declared.spec.training.model)
    joined = ready.all_rows
    expected = kept.trained.features.arrays(whole, scaled=False)
    np.testing.assert_array_equal(joined.inputs.numbers, expected.numbers)
    np.testing.assert_array_equal(joined.inputs.codes, expected.codes)
    np.testing.assert_array_equal(joined.target, kept.trained.target.values(whole))


@pytest.mark.slow
@pytest.mark.parametrize("few", [True, False])
def test_a_network_stops_after_the_epochs_found_and_gives_the_same_bytes_again(
    few: bool, tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_folds(monkeypatch, rows=10_000 if few else 0)
    declared = pipeline(tmp_path, MLP, refit="auto", class_weights="balanced")
    said: list[str] = []
    first = fit(declared, rows(120, 1), rows(40, 2), home, progress=said.append)
    again = fit(declared, rows(120, 1), rows(40, 2), home)
    assert digest(first, tmp_path / "first") == digest(again, tmp_path / "again")
    assert first.refit is not None
    assert first.refit.folds == (5 if few else None)
    last = [line for line in said if line.startswith("with the validation rows")]
    assert len(last) == 2 * (first.rounds or 0)
    assert last[-1].endswith(f"network 2/2, epoch {first.rounds}/{first.rounds}")
    assert len(said) - len(last) == 2 * 5 * (5 if few else 1)
    (tmp_path / "files").mkdir()
    save_fit(first, tmp_path / "files")
    stored = load_fit(tmp_path / "files", tmp_path)
    assert (stored.refit, stored.folds) == (first.refit, first.folds)


def test_rows_that_decide_were_not_learned_from(tmp_path: Path, home: Home) -> None:
    """A forest remembers its rows: it knows the labels of noise of those that it learned from."""
    tables = rows(120, 1), rows(40, 2)
    chance = np.random.default_rng(0)
    training, validation = [
        table.set_column(
            table.column_names.index("y"), "y", pa.array(chance.integers(0, 2, table.num_rows))
        )
        for table in tables
    ]
    result = fit(pipeline(tmp_path, FOREST, refit="auto"), training, validation, home)
    whole = pa.concat_tables([training, validation])
    assert len(result.scored) == whole.num_rows
    np.testing.assert_array_equal(result.scored.truth, result.trained.target.values(whole))
    assert 0.35 < result.validation["roc_auc"] < 0.65
    knows = result.trained.outputs(whole)[:, 1] > 0.5
    assert np.mean(knows == result.scored.truth) > 0.95


@pytest.mark.parametrize("model", [KINDS["linear"], BOOSTING])
def test_outputs_of_the_folds_are_in_the_order_of_the_rows(
    model: dict[str, Any], tmp_path: Path, home: Home
) -> None:
    result = fitted(tmp_path, model, home)
    assert result.refit is not None
    assert result.refit.folds == 5
    assert result.validation["roc_auc"] > 0.8
    assert result.trained.description.threshold == result.scored.threshold


def test_after_each_fold_but_the_last_its_rows_are_known(tmp_path: Path, home: Home) -> None:
    declared = pipeline(tmp_path, KINDS["linear"], refit="auto")
    model, so_far = declared.spec.training.model, list[HeldOut]()
    ready = prepare_rows(declared, rows(120, 1), rows(40, 2), model)
    whole = refit.fit_folds(fit_context(declared, ready, model, tmp_path), ready, so_far.append)
    assert [held_out.folds for held_out in so_far] == [1, 2, 3, 4]
    for held_out in so_far:
        assert ready.folds is not None
        assert held_out.places is not None
        known = np.flatnonzero(ready.folds < held_out.folds)
        np.testing.assert_array_equal(held_out.places, known)
        np.testing.assert_array_equal(held_out.outputs, whole.outputs[known])
        np.testing.assert_array_equal(held_out.truth, whole.truth[known])
        np.testing.assert_array_equal(held_out.target, whole.target[known])


@pytest.mark.parametrize(("most", "folds"), [(10_000, 5), (100, None)])
def test_few_rows_of_the_rarer_class_are_judged_by_folds_unless_rows_are_many(
    most: int, folds: int | None, tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refit, "FEW_ROWS", 0)
    monkeypatch.setattr(refit, "MOST_ROWS", most)
    result = fitted(tmp_path, KINDS["linear"], home)
    assert result.refit == Refit(folds=folds)


def test_numbers_are_judged_in_their_unit(tmp_path: Path, home: Home) -> None:
    tables = rows(120, 1, "regression"), rows(40, 2, "regression")
    result = fit(pipeline(tmp_path, KINDS["linear"], refit="auto"), *tables, home)
    np.testing.assert_array_equal(
        result.scored.truth, np.concatenate([table["y"].to_numpy() for table in tables])
    )
    assert result.validation["r2"] > 0.5


def test_a_fit_that_a_budget_may_end_is_not_repeated(tmp_path: Path, home: Home) -> None:
    model = {**MLP, "ensemble": 1, "epochs": 1}
    result = fitted(tmp_path, model, home, budget={"minutes": 5})
    assert result.refit == Refit(reason="a budget is declared")


def test_a_fit_of_several_devices_is_not_repeated(tmp_path: Path) -> None:
    trainer = {"devices": 2, "accelerator": "cpu"}
    declared = pipeline(tmp_path, MLP, refit="auto", trainer=trainer)
    model = declared.spec.training.model
    ready = prepare_rows(declared, rows(120, 1), rows(40, 2), model)
    assert refit.reason_against_refit(declared, ready, model) == "several devices train together"


def _absurd(rows: pa.Table) -> pa.Table:
    """Return rows of which all classes are wrong, and all numbers far from any other."""
    frame = rows.to_pandas()
    numbers = frame.select_dtypes("float").columns
    frame[numbers] = frame[numbers] * -1e30
    frame["y"] = 1 - rows["y"].to_numpy()
    return pa.Table.from_pandas(frame, rows.schema, preserve_index=False)


@pytest.mark.slow
@pytest.mark.parametrize("model", [BOOSTING, {"kind": "auto", "members": [LINEAR, BOOSTING]}])
def test_a_candidate_tells_which_rows_it_learned_from_and_never_reads_test_rows(
    model: dict[str, Any], tmp_path: Path, home: Home
) -> None:
    split = parts(home, count=120)
    declared = pipeline(tmp_path, model, refit="auto")
    first = train(declared, split, home)
    assert first.rows == split.train.rows + split.validation.rows
    assert first.knows_validation
    parameters = Registry(home).client.get_run(first.run_id).data.params
    assert parameters["refit"].startswith("learned from training and validation rows, ")
    [path] = fetched_paths(split.test, home)
    pq.write_table(_absurd(pq.read_table(path)), path)
    assert train(declared, split, home).digest == first.digest
    path.write_bytes(b"not a table")
    assert train(declared, split, home).digest == first.digest
    path.unlink()
    assert train(declared, split, home).digest == first.digest


@pytest.mark.slow
def test_rows_in_files_are_fitted_once(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out_of_core, "CELLS", 0)
    split = parts(home, count=120)
    candidate = train(pipeline(tmp_path, {**MLP, "epochs": 1}, refit="auto"), split, home)
    assert candidate.refit == Refit(reason="the rows do not fit in memory")
    assert candidate.rows == split.train.rows


class Killed(BaseException):
    """Ends a training as abruptly as is possible within a process."""


@pytest.mark.slow
@pytest.mark.parametrize("few", [True, False])
def test_a_training_killed_in_its_last_fit_goes_on_there(
    few: bool, tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_folds(monkeypatch, rows=10_000 if few else 0)
    often = {"checkpoint": {"seconds": 1e9, "epochs": 1}}
    declared = pipeline(tmp_path, {**MLP, "ensemble": 1}, refit="auto", trainer=often)
    model = declared.spec.training.model
    ready = prepare_rows(declared, rows(120, 1), rows(40, 2), model)
    whole = Fitter(declared, ready, home, model).fit()
    assert whole.rounds is not None
    assert whole.rounds > 1

    def kill(text: str) -> None:
        if text.startswith("with the validation rows, epoch 2"):
            raise Killed

    folder = tmp_path / "checkpoints"
    with pytest.raises(Killed):
        Fitter(declared, ready, home, model, kill, folder).fit()
    said: list[str] = []
    resumed = Fitter(declared, ready, home, model, said.append, folder).fit()
    assert digest(resumed, tmp_path / "resumed") == digest(whole, tmp_path / "whole")
    assert sum(line.endswith("is complete, from its checkpoint") for line in said) == (
        5 if few else 1
    )
    assert "with the validation rows, resumes in epoch 2, from its checkpoint" in said


@pytest.mark.slow
def test_a_search_fits_only_the_best_again(tmp_path: Path, home: Home, many: None) -> None:
    tune = {"trials": 3, "search": {"max_depth": {"range": [2, 6]}}}
    split = parts(home, count=120)
    said: list[str] = []
    declared = pipeline(tmp_path, FOREST, refit="auto", tune=tune)
    candidate = train(declared, split, home, progress=said.append)
    assert candidate.knows_validation
    assert candidate.tuned is not None
    best = candidate.tuned.trials[candidate.tuned.chosen].value
    assert candidate.validation[candidate.tuned.metric] == best
    assert candidate.digest == train(declared, split, home).digest


def test_a_stored_declaration_without_the_key_never_refits() -> None:
    declared = Train.model_validate({"target": "y", "model": {"kind": "linear"}})
    assert declared.refit == "auto"
    written = declared.model_dump_json()
    assert Train.model_validate_json(written, context=STORED) == declared
    older = declared.model_copy(update={"refit": "never"})
    assert "refit" not in older.model_dump_json()
    assert Train.model_validate_json(older.model_dump_json(), context=STORED) == older


def test_shuffled_labels_stay_at_chance(tmp_path: Path, home: Home) -> None:
    split = parts(home, count=300)
    table = read_arrow(split.train, home)
    order = np.random.default_rng(1).permutation(table.num_rows)
    shuffled = table.set_column(table.column_names.index("y"), "y", table["y"].take(order))
    validation = read_arrow(split.validation, home)
    other = validation.set_column(
        validation.column_names.index("y"), "y", shuffled["y"].slice(0, validation.num_rows)
    )
    result = fit(pipeline(tmp_path, BOOSTING, refit="auto"), shuffled, other, home)
    test = read_arrow(split.test, home)
    scores, truth = result.trained.outputs(test)[:, 1], result.trained.target.values(test)
    above = (scores[truth == 1][:, None] > scores[truth == 0]).mean()
    assert 0.3 < above < 0.7
    assert 0.38 < result.validation["roc_auc"] < 0.62
