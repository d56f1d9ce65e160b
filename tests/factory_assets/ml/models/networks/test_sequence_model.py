"""Every kind of network over windows: its inputs, storage, ONNX export and reproducibility."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.artifacts.onnx_export import export
from factory_assets.ml.artifacts.onnx_model import OnnxModel
from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.ml.training.fit_result import FitResult
from factory_assets.ml.training.fitting import fit
from factory_resources.errors import DataError, ModelError
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import SEQUENCES, hostile, pipeline, series
from tests.factory_assets.ml.models.test_kinds import same_everywhere
from tests.long_run import in_long

pytestmark = pytest.mark.slow


def fitted(
    folder: Path, model: dict[str, Any], task: str = "regression", **train: Any
) -> FitResult:
    declared = pipeline(folder, model, **{"exclude": ("cycle",), **train})
    home = Home(folder / "home")
    return fit(declared, series(60, 1, task), series(20, 2, task), home)


@pytest.fixture(scope="module")
def regressions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FitResult]:
    return {kind: fitted(tmp_path_factory.mktemp(kind), model) for kind, model in SEQUENCES.items()}


@pytest.fixture(scope="module")
def trained(regressions: dict[str, FitResult]) -> dict[str, TrainedModel]:
    return {kind: result.trained for kind, result in regressions.items()}


@pytest.fixture(scope="module")
def exported(trained: dict[str, TrainedModel]) -> dict[str, bytes]:
    return {kind: export(model) for kind, model in trained.items()}


@pytest.fixture(scope="module")
def served(exported: dict[str, bytes]) -> dict[str, OnnxModel]:
    return {kind: OnnxModel.of(graph) for kind, graph in exported.items()}


# An export takes seconds, and all kinds share the output of a task: not every combination.
@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("gru", "regression"),
        *in_long(
            [
                ("transformer", "regression"),
                ("tcn", "regression"),
                ("gru", "binary"),
                ("tcn", "multiclass"),
            ]
        ),
    ],
)
def test_stored_and_exported_networks_give_the_same_outputs(
    kind: str,
    task: str,
    regressions: dict[str, FitResult],
    exported: dict[str, bytes],
    tmp_path: Path,
) -> None:
    is_there = task == "regression"
    result = regressions[kind] if is_there else fitted(tmp_path, SEQUENCES[kind], task)
    test = hostile(series(20, 3, task))
    graph = exported[kind] if is_there else None
    same_everywhere(result.trained, tmp_path, task, 1e-5, test=test, exported=graph)
    # A row alone explains only a third of the target.
    skill = result.validation.get("roc_auc", result.validation.get("r2", 0.0))
    assert skill > 0.75


@pytest.mark.long
@pytest.mark.parametrize("columns", [["heat", "wear"], ["colour"]])
def test_a_network_reads_only_numbers_or_only_categories(
    columns: list[str], tmp_path: Path
) -> None:
    others = {"heat", "wear", "colour", "cycle"} - set(columns)
    result = fitted(tmp_path, {**SEQUENCES["tcn"], "epochs": 1}, exclude=tuple(others))
    assert result.trained.features.columns == tuple(columns)
    test = hostile(series(20, 3, "regression"))
    same_everywhere(result.trained, tmp_path, "regression", 1e-5, test=test)


@pytest.mark.parametrize("kind", SEQUENCES)
def test_a_prediction_depends_only_on_the_window_up_to_its_row(
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
    affected = np.flatnonzero(np.abs(after - before) > 1e-4)
    assert affected.tolist() == rows[5:11].tolist()  # the row and five after it: a window of six


@pytest.mark.parametrize("kind", SEQUENCES)
def test_outputs_do_not_depend_on_row_order_or_on_the_selected_rows(
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


def test_outputs_do_not_depend_on_the_batch_size_of_the_evaluation(
    trained: dict[str, TrainedModel],
    served: dict[str, OnnxModel],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    test = series(20, 6)
    one, whole = trained["gru"].outputs(test), served["gru"].outputs(test)
    monkeypatch.setattr("factory_assets.ml.models.networks.sequence_model.ROWS_PER_BATCH", 50)
    monkeypatch.setattr("factory_assets.ml.artifacts.onnx_model.BATCH_ROWS", 50)
    np.testing.assert_allclose(trained["gru"].outputs(test), one, rtol=1e-5)
    np.testing.assert_allclose(served["gru"].outputs(test), whole, rtol=1e-5)


def test_a_served_network_requires_the_columns_that_define_series(
    served: dict[str, OnnxModel],
) -> None:
    assert served["gru"].columns == ("heat", "wear", "colour", "unit", "cycle")
    for gone in ("unit", "cycle", "wear"):
        with pytest.raises(DataError, match=f"'{gone}' is missing"):
            served["gru"].outputs(series(2, 1).drop_columns(gone))


@pytest.mark.parametrize(
    "kind",
    ["gru", *in_long(one for one in SEQUENCES if one != "gru")],
)
def test_a_network_is_reproducible_for_the_same_seed(kind: str, tmp_path: Path) -> None:
    one, other, another = (
        fitted(tmp_path, {**SEQUENCES[kind], "epochs": 2, "dropout": 0.3}, seed=seed).trained
        for seed in (3, 3, 4)
    )
    test = series(8, 5)
    np.testing.assert_array_equal(one.outputs(test), other.outputs(test))
    assert not np.array_equal(one.outputs(test), another.outputs(test))


def test_the_stored_averaged_weights_give_the_best_validation_loss(
    regressions: dict[str, FitResult],
) -> None:
    result = regressions["gru"]
    losses = [epoch.validation_loss for epoch in result.history]
    assert result.best_epoch == int(np.argmin(losses))
    sd = result.trained.target.sd
    assert result.validation["rmse"] == pytest.approx(min(losses) ** 0.5 * sd, rel=1e-4)


def test_validation_windows_contain_no_training_row(tmp_path: Path) -> None:
    """This holds even if both parts have rows of one series: each part is laid out on its own."""
    declared = pipeline(tmp_path, SEQUENCES["gru"], exclude=("cycle",))
    training, validation = series(60, 1, "regression"), series(20, 2, "regression")
    renamed = training.set_column(
        training.column_names.index("unit"),
        "unit",
        pa.array([f"elsewhere {unit}" for unit in training["unit"].to_pylist()]),
    )
    one, other = (
        fit(declared, rows, validation, Home(tmp_path / "home")) for rows in (training, renamed)
    )
    assert one.history == other.history


def test_a_diverging_network_is_an_error(tmp_path: Path) -> None:
    model = {**SEQUENCES["tcn"], "learning_rate": 1e38}
    with pytest.raises(
        ModelError, match=r"became NaN or infinite.*lower train.model.learning_rate"
    ):
        fitted(tmp_path, model)
