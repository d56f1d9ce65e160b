"""A candidate: what MLflow shows of it, and files that nobody can change unseen."""

import json
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factory_assets.ml.artifacts.trained_model import MANIFEST, load_trained
from factory_assets.results.data import SplitResult
from factory_assets.results.model import Candidate
from factory_assets.spec import Pipeline
from factory_assets.stages.train import train
from factory_resources.errors import DataError, ModelError, StorageError
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow
from factory_resources.tracking.registry import Registry
from tests.factory_assets.ml.models.cases import KINDS, keep, parts, pipeline, rows

PICKLES = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".bin"}


class Trained:
    """One candidate a module, since every test only reads it."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.pipeline: Pipeline = pipeline(folder, KINDS["mlp"])
        self.parts: SplitResult = parts(self.home)
        self.said: list[str] = []
        self.candidate: Candidate = train(
            self.pipeline,
            self.parts,
            self.home,
            tags={"factory.run_id": "r1", "factory.data_version.split": "d1"},
            progress=self.said.append,
        )

    @property
    def registry(self) -> Registry:
        return Registry(self.home)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(tmp_path_factory.mktemp("train"))


_LOOP = """
import torch
from lightning.pytorch import LightningModule

class Loop(LightningModule):
    def __init__(self, numeric, categories, outputs):
        super().__init__()
        self.layer = torch.nn.Linear(numeric, outputs)

    def forward(self, numbers, codes):
        return torch.stack([self.layer(row) for row in numbers])
"""


@pytest.mark.slow
def test_candidate_tells_what_was_learned(made: Trained) -> None:
    candidate = made.candidate
    assert (candidate.model, candidate.version, candidate.kind) == ("p", 1, "mlp")
    assert (candidate.task, candidate.classes) == ("binary", ("0", "1"))
    assert candidate.numeric == ("heat", "wear", "open")
    assert candidate.categorical == ("colour",)
    assert len(candidate.history) == len(made.said) == 10
    assert candidate.rows == 600
    assert candidate.parameters
    assert candidate.threshold
    assert 0 < candidate.threshold < 1
    assert candidate.validation["roc_auc"] > 0.8


@pytest.mark.slow
def test_run_holds_parameters_metrics_data_and_tags(made: Trained) -> None:
    client = made.registry.client
    run = client.get_run(made.candidate.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["model.kind"] == "mlp"
    assert run.data.params["target"] == "y"
    assert run.data.params["seed"] == "3"
    assert run.data.tags["factory.run_id"] == "r1"
    assert run.data.tags["factory.data_version.split"] == "d1"
    curve = client.get_metric_history(made.candidate.run_id, "validation_loss")
    assert [m.value for m in sorted(curve, key=lambda m: m.step)] == [
        epoch.validation_loss for epoch in made.candidate.history
    ]
    inputs = {
        tag.value: given
        for given in run.inputs.dataset_inputs
        for tag in given.tags
        if tag.key == "mlflow.data.context"
    }
    training = inputs["training"]
    assert training.dataset.name == "p/train"
    assert training.dataset.digest == made.parts.train.data_version[:36]
    assert made.parts.train.data_version in {tag.value for tag in training.tags}
    assert json.loads(training.dataset.source)["uri"].startswith("p/train@")
    assert set(inputs) == {"training", "validation"}


@pytest.mark.slow
def test_version_shows_signature_and_an_example_that_is_no_row(made: Trained) -> None:
    from mlflow.models import Model

    client = made.registry.client
    version = client.get_model_version("p", "1")
    assert version.run_id == made.candidate.run_id
    assert version.tags["factory.model_sha256"] == made.candidate.digest
    assert version.tags["factory.run_id"] == "r1"
    [output] = client.get_run(made.candidate.run_id).outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert version.source == logged.artifact_location
    assert logged.status == "READY"
    files = made.registry.version("p", 1).files
    described = Model.load(str(files))
    assert described.flavors == {}
    assert described.signature.inputs.input_names() == ["heat", "wear", "open", "colour"]
    assert [str(c.type) for c in described.signature.inputs.inputs][-1] == "DataType.string"
    assert described.signature.outputs.inputs[0].shape == (-1, 2)
    example = json.loads((files / "input_example.json").read_text())
    assert example["columns"] == ["heat", "wear", "open", "colour"]
    heat = read_arrow(made.parts.train, made.home)["heat"].drop_null().to_numpy()
    assert example["data"][0][0] == pytest.approx(np.median(heat))


@pytest.mark.slow
def test_no_file_is_a_pickle(made: Trained) -> None:
    files = [path for path in made.home.artifacts.rglob("*") if path.is_file()]
    assert len(files) == 5
    for path in files:
        assert path.suffix not in PICKLES
        # Every pickle since protocol 2 begins so.
        assert not path.read_bytes().startswith(b"\x80")


@pytest.mark.slow
def test_digest_is_that_of_the_files(made: Trained) -> None:
    files = made.registry.version("p", 1).files
    manifest = (files / MANIFEST).read_bytes()
    assert sha256(manifest).hexdigest() == made.candidate.digest
    for name, digest in json.loads(manifest).items():
        assert sha256((files / name).read_bytes()).hexdigest() == digest


@pytest.mark.slow
@pytest.mark.parametrize("name", ["weights.safetensors", "model.json", "manifest.json"])
@pytest.mark.parametrize("how", ["changed", "gone", "unreadable"])
def test_tampered_files_are_refused(made: Trained, tmp_path: Path, name: str, how: str) -> None:
    home = Home(tmp_path / "copy")
    shutil.copytree(made.home.path, home.path)
    path = Registry(home).version("p", 1).files / name
    content = bytearray(path.read_bytes())
    path.unlink()
    error, says = ModelError, f"p version 1: file {name} is missing"
    if how == "changed":
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
        says = f"p version 1: file {name} is not the one"
    elif how == "unreadable":
        path.mkdir()
        error, says = StorageError, "cannot be read"
    with pytest.raises(error, match=says):
        load_trained(made.candidate, home, made.pipeline.folder)


@pytest.mark.slow
def test_a_home_that_moved_still_loads(made: Trained, tmp_path: Path) -> None:
    home = Home(tmp_path / "elsewhere")
    shutil.copytree(made.home.path, home.path)
    shutil.move(made.home.artifacts, made.home.path / "hidden")
    try:
        load_trained(made.candidate, home, made.pipeline.folder)
    finally:
        shutil.move(made.home.path / "hidden", made.home.artifacts)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["random_forest", "gradient_boosting"])
def test_an_estimator_of_another_kind_is_refused(kind: str, home: Home, tmp_path: Path) -> None:
    """Even with a matching manifest, a file may hold only what its kind is made of."""
    import skops.io
    from sklearn.svm import LinearSVC

    from factory_assets.ml.models.kinds import model_class
    from factory_assets.ml.training.fitting import fit

    spec = fit(pipeline(tmp_path, KINDS[kind]), rows(300, 1), rows(90, 2), home).trained.description
    skops.io.dump(LinearSVC(), tmp_path / "estimator.skops")
    with pytest.raises(ModelError, match="contains a LinearSVC"):
        model_class(spec.spec, tmp_path).load(spec.spec, spec.shape, tmp_path, tmp_path)
    skops.io.dump({"a": Path}, tmp_path / "estimator.skops")
    with pytest.raises(ModelError, match="is not a file of this kind of model"):
        model_class(spec.spec, tmp_path).load(spec.spec, spec.shape, tmp_path, tmp_path)


@pytest.mark.slow
def test_candidates_are_counted_and_never_replaced(home: Home, tmp_path: Path) -> None:
    made, given = pipeline(tmp_path, KINDS["linear"]), parts(home)
    one, two = (train(made, given, home) for _ in range(2))
    assert (one.version, two.version) == (1, 2)
    assert one.digest == two.digest
    assert one.run_id != two.run_id
    assert load_trained(one, home, tmp_path).features == load_trained(two, home, tmp_path).features


@pytest.mark.parametrize(
    ("column", "values", "says"),
    [
        ("y", [1] * 600, "in every training row"),
        ("y", [None] * 10 + [1.5] * 590, "missing in 10 rows"),
        ("y", [float("inf")] + [1.5] * 599, "NaN or infinite in 1 row"),
        ("z", [0] * 600, "no target column 'y'"),
    ],
)
def test_bad_targets_are_one_line_and_leave_nothing(
    column: str, values: list[Any], says: str, home: Home, tmp_path: Path
) -> None:
    table = rows(600, 1).drop_columns(["y"]).append_column(column, [values])
    given = parts(home).model_copy(update={"train": keep(home, "bad", table)})
    with pytest.raises(DataError, match=says) as caught:
        train(pipeline(tmp_path, KINDS["linear"]), given, home)
    assert "\n" not in str(caught.value)
    assert not home.mlflow_database.exists()
    assert not home.artifacts.exists()
    assert list(home.tmp.glob("*")) == []


def test_no_validation_row_of_a_known_class(home: Home, tmp_path: Path) -> None:
    table = rows(50, 2).drop_columns(["y"]).append_column("y", [[7] * 50])
    given = parts(home).model_copy(update={"validation": keep(home, "odd", table)})
    with pytest.raises(DataError, match="no validation row has a class"):
        train(pipeline(tmp_path, KINDS["linear"]), given, home)


@pytest.mark.slow
def test_a_network_that_cannot_be_served_is_told_before_its_training(
    made: Trained, tmp_path: Path
) -> None:
    (tmp_path / "net.py").write_text(_LOOP)
    declared, said = pipeline(tmp_path, {"python": "net:Loop", "epochs": 2}), list[str]()
    with pytest.raises(ModelError, match=r"net:Loop cannot be exported.* fails for 8 rows") as told:
        train(declared, made.parts, made.home, progress=said.append)
    assert "on a batch of any size" in str(told.value)
    assert said == []
