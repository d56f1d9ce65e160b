"""Every kind of network over windows: what a prediction is made from, and the same everywhere."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.artifacts.onnx_export import export
from factory_assets.ml.artifacts.onnx_model import OnnxModel
from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.ml.training.fitting import FitResult, fit
from factory_resources.errors import DataError, ModelError
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import SEQUENCES, hostile, pipeline, series
from tests.factory_assets.ml.models.test_kinds import same_everywhere

pytestmark = pytest.mark.slow


def fitted(
    folder: Path, model: dict[str, Any], task: str = "regression", **train: Any
) -> FitResult:
    made = pipeline(folder, model, **{"exclude": ("cycle",), **train})
    home = Home(folder / "home")
    return fit(made, series(60, 1, task), series(20, 2, task), home)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrainedModel]:
    return {
        kind: fitted(tmp_path_factory.mktemp(kind), model).trained
        for kind, model in SEQUENCES.items()
    }


@pytest.fixture(scope="module")
def served(trained: dict[str, TrainedModel]) -> dict[str, OnnxModel]:
    return {kind: OnnxModel.of(export(model)) for kind, model in trained.items()}


# The export takes seconds; the last step of a task is the same for all kinds.
@pytest.mark.parametrize(
    ("kind", "task"),
    [*((kind, "regression") for kind in SEQUENCES), ("gru", "binary"), ("tcn", "multiclass")],
)
def test_stored_and_exported_alike(kind: str, task: str, tmp_path: Path) -> None:
    found = fitted(tmp_path, SEQUENCES[kind], task)
    test = hostile(series(20, 3, task))
    same_everywhere(found.trained, tmp_path, task, 1e-5, test=test)
    # What the row itself tells of the target is a third of it.
    skill = found.validation.get("roc_auc", found.validation.get("r2", 0.0))
    assert skill > 0.75


@pytest.mark.parametrize("columns", [["heat", "wear"], ["colour"]])
def test_only_numbers_or_only_names(columns: list[str], tmp_path: Path) -> None:
    others = {"heat", "wear", "colour", "cycle"} - set(columns)
    found = fitted(tmp_path, {**SEQUENCES["tcn"], "epochs": 1}, exclude=tuple(others))
    assert found.trained.features.columns == tuple(columns)
    test = hostile(series(20, 3, "regression"))
    same_everywhere(found.trained, tmp_path, "regression", 1e-5, test=test)


@pytest.mark.parametrize("kind", SEQUENCES)
def test_a_row_is_judged_by_the_window_up_to_it_and_nothing_else(
    kind: str, trained: dict[str, TrainedModel]
) -> None:
    test = series(8, 4)
    frame = test.to_pandas().sort_values(["unit", "cycle"], ignore_index=True)
    unit = frame["unit"].value_counts().idxmax()
    rows = frame.index[frame["unit"] == unit]
    assert len(rows) > 12
    changed = frame.copy()
    changed.loc[rows[5], "wear"] = 9.0
    before, after = (trained[kind].outputs(pa.Table.from_pandas(f)) for f in (frame, changed))
    moved = np.flatnonzero(np.abs(after - before) > 1e-4)
    assert moved.tolist() == rows[5:11].tolist()  # the row and five after it: a window of six


@pytest.mark.parametrize("kind", SEQUENCES)
def test_neither_the_order_of_rows_nor_which_are_asked_for_matters(
    kind: str, trained: dict[str, TrainedModel], served: dict[str, OnnxModel]
) -> None:
    test = series(8, 5)
    model = trained[kind]
    expected = model.outputs(test)
    some = np.random.default_rng(0).permutation(test.num_rows)[:17]
    assert model.outputs(test, some[:0]).shape == (0,)
    np.testing.assert_allclose(model.outputs(test, some), expected[some], rtol=1e-5)
    shuffled = np.random.default_rng(1).permutation(test.num_rows)
    np.testing.assert_allclose(model.outputs(test.take(shuffled)), expected[shuffled], rtol=1e-5)
    np.testing.assert_allclose(served[kind].outputs(test, some), expected[some], rtol=1e-5)
    assert served[kind].outputs(test.slice(0, 0)).shape == (0,)


def test_slices_of_windows_are_read_like_the_whole(
    trained: dict[str, TrainedModel],
    served: dict[str, OnnxModel],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    test = series(20, 6)
    one, whole = trained["gru"].outputs(test), served["gru"].outputs(test)
    monkeypatch.setattr("factory_assets.ml.models.networks.sequence_model.MANY", 50)
    monkeypatch.setattr("factory_assets.ml.artifacts.onnx_model.MANY", 50)
    np.testing.assert_allclose(trained["gru"].outputs(test), one, rtol=1e-5)
    np.testing.assert_allclose(served["gru"].outputs(test), whole, rtol=1e-5)


def test_the_columns_that_make_series_are_asked_for(served: dict[str, OnnxModel]) -> None:
    assert served["gru"].columns == ("heat", "wear", "colour", "unit", "cycle")
    for gone in ("unit", "cycle", "wear"):
        with pytest.raises(DataError, match=f"'{gone}' is missing"):
            served["gru"].outputs(series(2, 1).drop_columns(gone))


@pytest.mark.parametrize("kind", SEQUENCES)
def test_the_same_again(kind: str, tmp_path: Path) -> None:
    one, other, another = (
        fitted(tmp_path, {**SEQUENCES[kind], "epochs": 2, "dropout": 0.3}, seed=seed).trained
        for seed in (3, 3, 4)
    )
    test = series(8, 5)
    np.testing.assert_array_equal(one.outputs(test), other.outputs(test))
    assert not np.array_equal(one.outputs(test), another.outputs(test))


def test_the_averaged_weights_are_those_that_were_validated(tmp_path: Path) -> None:
    found = fitted(tmp_path, SEQUENCES["gru"])
    losses = [epoch.validation_loss for epoch in found.history]
    assert found.best_epoch == int(np.argmin(losses))
    sd = found.trained.target.sd
    assert found.validation["rmse"] == pytest.approx(min(losses) ** 0.5 * sd, rel=1e-4)


def test_validation_windows_see_no_training_row(tmp_path: Path) -> None:
    """Also where both parts have rows of one series: each part is a table of its own."""
    made = pipeline(tmp_path, SEQUENCES["gru"], exclude=("cycle",))
    training, validation = series(60, 1, "regression"), series(20, 2, "regression")
    strange = training.set_column(
        training.column_names.index("unit"),
        "unit",
        pa.array([f"elsewhere {unit}" for unit in training["unit"].to_pylist()]),
    )
    one, other = (
        fit(made, rows, validation, Home(tmp_path / "home")) for rows in (training, strange)
    )
    assert one.history == other.history


def test_a_network_that_diverges_is_told(tmp_path: Path) -> None:
    model = {**SEQUENCES["tcn"], "learning_rate": 1e38}
    with pytest.raises(ModelError, match=r"no longer a number.*lower train.model.learning_rate"):
        fitted(tmp_path, model)
