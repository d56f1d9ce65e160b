"""Every kind of model for every task: fit, store, load and export give the same outputs."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from threadpoolctl import threadpool_limits

from factory_assets.ml.artifacts import onnx_model
from factory_assets.ml.artifacts.onnx_export import export
from factory_assets.ml.artifacts.onnx_model import OnnxModel
from factory_assets.ml.artifacts.trained_model import Description, TrainedModel, save_trained
from factory_assets.ml.models.base import ENSEMBLE_SEED_STEP
from factory_assets.ml.models.kinds import model_class
from factory_assets.ml.training.fit_result import FitResult
from factory_assets.ml.training.fitting import fit
from factory_resources.errors import DeclarationError, ModelError
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import ABSOLUTE, KINDS, TASKS, hostile, pipeline, rows
from tests.long_run import in_long

pytestmark = pytest.mark.slow

OWN = """
import torch
from lightning.pytorch import LightningModule

class Plain(LightningModule):
    def __init__(self, numeric, categories, outputs, width=8):
        super().__init__()
        self.embed = torch.nn.ModuleList(torch.nn.Embedding(n, 2) for n in categories)
        self.body = torch.nn.Sequential(
            torch.nn.Linear(numeric + 2 * len(categories), width),
            torch.nn.Tanh(),
            torch.nn.Linear(width, outputs),
        )

    def forward(self, numbers, codes):
        names = [embed(codes[:, i]) for i, embed in enumerate(self.embed)]
        return self.body(torch.cat([numbers, *names], dim=1))

class OwnSteps(Plain):
    def training_step(self, batch, index):
        numbers, codes, target = batch
        return torch.nn.functional.cross_entropy(self(numbers, codes), target) * 2

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

class Silent(Plain):
    def validation_step(self, batch, index):
        pass

class Broken(Plain):
    def forward(self, numbers, codes):
        raise ValueError("no such thing")

class NotANumber(Plain):
    def training_step(self, batch, index):
        return super().training_step(batch, index) * float("nan")

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

class Wide(Plain):
    def forward(self, numbers, codes):
        return torch.cat([super().forward(numbers, codes)] * 2, dim=1)

class Double(Plain):
    def forward(self, numbers, codes):
        return super().forward(numbers, codes).double()

class ByBatch(Plain):
    def forward(self, numbers, codes):
        outputs = super().forward(numbers, codes)
        return outputs - outputs.mean(dim=0)

class Random(Plain):
    def forward(self, numbers, codes):
        return torch.nn.functional.dropout(super().forward(numbers, codes))

class Other:
    pass
"""

SIMPLE = ("linear", "gradient_boosting", "mlp")
"""Kinds of one model, each computed in its own way; a forest or a blend takes longer."""

BUT_ALL_IN_ONE = [*(kind for kind in KINDS if kind != "auto"), *in_long(["auto"])]
"""The blend of all kinds costs as much as all of them, which are here already."""


def fitted(folder: Path, model: dict[str, Any], task: str = "binary", **train: Any) -> FitResult:
    declared = pipeline(folder, model, **train)
    home = Home(folder / "home")
    return fit(declared, rows(600, 1, task), rows(200, 2, task), home)


def own(folder: Path, name: str, **more: Any) -> dict[str, Any]:
    (folder / "net.py").write_text(OWN)
    return {"python": f"net:{name}", "epochs": 3, **more}


def same_everywhere(
    trained: TrainedModel,
    folder: Path,
    task: str,
    tolerance: float,
    test: pa.Table | None = None,
    exported: bytes | None = None,
) -> None:
    """Require bit-identical outputs after loading, and ONNX outputs within the tolerance.

    Args:
        exported: the graph, if it was exported already.
    """
    test = hostile(rows(300, 3, task)) if test is None else test
    expected = trained.outputs(test)
    assert np.isfinite(expected).all()
    files = folder / "files"
    files.mkdir()
    save_trained(trained, files)
    description = Description.model_validate_json((files / "model.json").read_bytes())
    cls = model_class(description.spec, folder)
    model = cls.load(description.spec, description.shape, files, folder)
    np.testing.assert_array_equal(TrainedModel(description, model).outputs(test), expected)
    exported = exported or export(trained)
    served = OnnxModel.of(exported)
    # Absurd inputs give huge predictions, whose rounding errors exceed an absolute tolerance.
    scale = np.maximum(trained.target.sd, np.abs(expected - trained.target.mean))
    difference = np.abs(served.outputs(test) - expected) / scale
    assert difference.max() <= tolerance
    assert served.classes == trained.target.classes
    assert served.threshold == description.threshold
    assert export(TrainedModel(description, model)) == exported


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        *((kind, "binary") for kind in KINDS),
        *((kind, task) for kind in SIMPLE for task in TASKS[1:]),
        *in_long((kind, task) for kind in KINDS if kind not in SIMPLE for task in TASKS[1:]),
    ],
)
def test_stored_and_exported_models_give_the_same_outputs(
    kind: str, task: str, tmp_path: Path
) -> None:
    result = fitted(tmp_path, KINDS[kind], task)
    same_everywhere(result.trained, tmp_path, task, 1e-4 if kind == "gradient_boosting" else 1e-5)
    skill = result.validation.get("roc_auc", result.validation.get("r2", 0.0))
    assert skill > 0.6


@pytest.mark.parametrize("kind", ABSOLUTE)
def test_boosting_of_medians_is_stored_and_exported(kind: str, tmp_path: Path) -> None:
    result = fitted(tmp_path, ABSOLUTE[kind], "regression")
    same_everywhere(result.trained, tmp_path, "regression", 1e-5)
    assert result.validation["r2"] > 0.6


@pytest.mark.parametrize("model", [*ABSOLUTE.values(), {"kind": "auto", "loss": "absolute_error"}])
def test_no_absolute_error_of_classes_is_lowered(model: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="loss absolute_error is for numbers"):
        fitted(tmp_path, model, "binary")


def test_classes_of_hardly_a_row_flood_no_terminal(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    models = [KINDS[kind] for kind in ("linear", "random_forest", "gradient_boosting")]
    training, held_out = (
        table.set_column(table.column_names.index("y"), "y", [[f"c{i % 55}" for i in range(60)]])
        for table in (rows(60, 1), rows(60, 2))
    )
    for model in (*models, {"kind": "auto", "members": models}):
        fit(pipeline(tmp_path, model), training, held_out, Home(tmp_path / "home"))
    assert [one for one in recwarn if "unique classes" in str(one.message)] == []


@pytest.mark.parametrize("kind", BUT_ALL_IN_ONE)
def test_the_number_of_threads_changes_no_output(kind: str, tmp_path: Path) -> None:
    found = []
    for threads in (1, 3):
        with threadpool_limits(threads):
            found.append(fitted(tmp_path, KINDS[kind]).trained.outputs(rows(300, 3)))
    np.testing.assert_array_equal(*found)


def test_outputs_do_not_depend_on_how_many_rows_are_scored_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = OnnxModel.of(export(fitted(tmp_path, KINDS["gradient_boosting"]).trained))
    table, scored, score = rows(50, 5), list[int](), OnnxModel._run

    def counted(model: OnnxModel, batch: pa.Table, more: Any) -> Any:
        scored.append(batch.num_rows)
        return score(model, batch, more)

    monkeypatch.setattr(OnnxModel, "_run", counted)
    whole = served.outputs(table)
    monkeypatch.setattr(onnx_model, "BATCH_VALUES", 20 * len(served.inputs))
    np.testing.assert_array_equal(served.outputs(table), whole)
    assert sorted(scored) == [10, 20, 20, 50]


@pytest.mark.parametrize("columns", [["heat", "wear"], ["colour", "open"]])
@pytest.mark.parametrize("kind", BUT_ALL_IN_ONE)
def test_a_model_reads_only_numbers_or_only_categories(
    kind: str, columns: list[str], tmp_path: Path
) -> None:
    others = {"heat", "wear", "colour", "open"} - set(columns)
    # `open` is declared categorical, so that the second case has no numbers.
    result = fitted(tmp_path, KINDS[kind], exclude=tuple(others), categorical=("open",))
    same_everywhere(result.trained, tmp_path, "binary", 1e-4)


@pytest.mark.parametrize("name", ["Plain", "OwnSteps"])
def test_users_module_is_trained_stored_and_exported(name: str, tmp_path: Path) -> None:
    result = fitted(tmp_path, own(tmp_path, name, args={"width": 4}))
    same_everywhere(result.trained, tmp_path, "binary", 1e-5)
    assert len(result.history) == 3
    assert list(tmp_path.glob("lightning_logs")) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Silent", "does not log validation_loss"),
        ("Broken", "net:Broken failed: ValueError: no such thing"),
        ("NotANumber", "became NaN or infinite in epoch 0"),
        ("Wide", r"net:Wide returns float32 \[8, 4\] for 8 rows, expected float32 \[8, 2\]"),
        ("Double", r"returns float64 \[8, 2\] for 8 rows, expected float32 \[8, 2\]"),
        ("ByBatch", r"predicts .* of a row beside others, and .* of the same row alone; compute"),
        ("Random", "and .* of the same row alone; .* draw no random numbers, unless self.training"),
    ],
)
def test_an_error_in_a_users_module_is_one_line(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        fitted(tmp_path, own(tmp_path, name))
    assert "\n" not in str(caught.value)


def test_a_class_that_is_no_model_is_an_error_of_the_declaration(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="net:Other is neither a LightningModule nor"):
        fitted(tmp_path, own(tmp_path, "Other"))


def test_a_missing_users_module_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="cannot import 'nothing'"):
        fitted(tmp_path, {"python": "nothing:Here"})


def test_a_diverging_network_is_an_error(tmp_path: Path) -> None:
    model = {"kind": "mlp", "epochs": 30, "learning_rate": 1e30}
    with pytest.raises(
        ModelError, match=r"became NaN or infinite.*lower train.model.learning_rate"
    ):
        fitted(tmp_path, model, "regression")


def test_early_stopping_keeps_the_best_epoch(tmp_path: Path) -> None:
    result = fitted(tmp_path, {"kind": "mlp", "epochs": 200, "patience": 3, "learning_rate": 0.05})
    losses = [epoch.validation_loss for epoch in result.history]
    assert result.best_epoch == int(np.argmin(losses))
    assert len(losses) == result.best_epoch + 4
    assert result.validation["log_loss"] == pytest.approx(min(losses), abs=1e-5)


def test_boosting_stops_early_on_the_validation_rows(tmp_path: Path) -> None:
    model = {"kind": "gradient_boosting", "iterations": 500, "patience": 5, "learning_rate": 0.3}
    result = fitted(tmp_path, model)
    losses = [epoch.validation_loss for epoch in result.history]
    assert result.best_epoch == int(np.argmin(losses)) < 500
    assert result.validation["log_loss"] == pytest.approx(min(losses), abs=1e-6)


def test_max_features_of_boosting_depends_on_the_seed_and_changes_the_model(tmp_path: Path) -> None:
    model = {**KINDS["gradient_boosting"], "max_features": 0.3}
    result = fitted(tmp_path, model, "regression")
    test = hostile(rows(300, 3, "regression"))
    same_everywhere(result.trained, tmp_path, "regression", 1e-4, test)
    again, other, whole = (
        fitted(tmp_path, {**model, **more}, "regression", seed=seed).trained.outputs(test)
        for more, seed in (({}, 3), ({}, 4), ({"max_features": 1.0}, 3))
    )
    np.testing.assert_array_equal(result.trained.outputs(test), again)
    assert not np.array_equal(again, other)
    assert not np.array_equal(again, whole)


@pytest.mark.parametrize("task", TASKS)
def test_a_boosting_ensemble_merges_the_trees_of_its_members(task: str, tmp_path: Path) -> None:
    model = {**KINDS["gradient_boosting"], "max_features": 0.3}
    two = fitted(tmp_path, {**model, "ensemble": 2}, task)
    test = hostile(rows(300, 3, task))
    same_everywhere(two.trained, tmp_path, task, 1e-4, test)
    alone = [fitted(tmp_path, model, task, seed=seed) for seed in (3, 3 + ENSEMBLE_SEED_STEP)]
    outputs = [one.trained.outputs(test) for one in alone]
    assert not np.array_equal(*outputs)
    if task == "regression":
        mean = np.mean(outputs, axis=0)
    else:  # the mean of the scores, not of the probabilities
        mean = np.exp(np.mean(np.log(outputs), axis=0))
        mean /= mean.sum(axis=1, keepdims=True)
    sd = two.trained.target.sd
    np.testing.assert_allclose(two.trained.outputs(test) / sd, mean / sd, atol=1e-6)
    assert two.trained.model.parameters == sum(one.trained.model.parameters for one in alone)
    losses = [epoch.validation_loss for one in alone for epoch in one.history]
    assert [epoch.validation_loss for epoch in two.history] == losses
    assert two.best_epoch == int(np.argmin(losses))


def test_a_boosting_ensemble_of_identical_members_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs max_features below 1"):
        pipeline(tmp_path, {"kind": "gradient_boosting", "ensemble": 3})


@pytest.mark.parametrize("task", TASKS)
def test_a_network_ensemble_outputs_the_mean_of_its_members(task: str, tmp_path: Path) -> None:
    two = fitted(tmp_path, {**KINDS["mlp"], "ensemble": 2}, task)
    same_everywhere(two.trained, tmp_path, task, 1e-5)
    test = hostile(rows(300, 3, task))
    alone = [
        fitted(tmp_path, KINDS["mlp"], task, seed=seed) for seed in (3, 3 + ENSEMBLE_SEED_STEP)
    ]
    mean = np.mean([one.trained.outputs(test) for one in alone], axis=0)
    sd = two.trained.target.sd
    np.testing.assert_allclose(two.trained.outputs(test) / sd, mean / sd, atol=1e-6)
    losses = [epoch.validation_loss for one in alone for epoch in one.history]
    assert [epoch.validation_loss for epoch in two.history] == losses
    assert [epoch.epoch for epoch in two.history] == list(range(len(losses)))
    assert two.best_epoch == int(np.argmin(losses))


@pytest.mark.parametrize("kind", BUT_ALL_IN_ONE)
def test_class_weights_raise_the_rare_class(kind: str, tmp_path: Path) -> None:
    plain = fitted(tmp_path, KINDS[kind]).trained
    weighted = fitted(tmp_path, KINDS[kind], class_weights="balanced").trained
    test = rows(300, 3)
    assert weighted.outputs(test)[:, 1].mean() > plain.outputs(test)[:, 1].mean()


def test_two_classes_may_be_declared_as_several(tmp_path: Path) -> None:
    declared = pipeline(tmp_path, {"kind": "linear"}, task="multiclass")
    several = fit(declared, rows(600, 1), rows(200, 2), Home(tmp_path / "home")).trained
    binary = fitted(tmp_path, {"kind": "linear"}).trained
    order = [binary.target.classes.index(name) for name in several.target.classes]
    test = rows(300, 3)
    expected = binary.outputs(test)[:, order]
    np.testing.assert_allclose(several.outputs(test), expected, atol=1e-3)
    same_everywhere(several, tmp_path, "binary", 1e-5)
