"""MLflow opens a deployed version by itself, and computes what the factory serves."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.artifacts.onnx_metadata import WINDOWS
from factory_assets.ml.artifacts.onnx_model import OnnxModel, load_served
from factory_assets.ml.features.series import lay_out
from factory_assets.results.data import SplitResult
from factory_assets.spec import Pipeline
from factory_assets.stages.train import train
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow
from factory_resources.tracking.onnx_flavour import OnnxFlavour, write_flavour
from factory_resources.tracking.registry import Registry, Version
from tests.factory_assets.ml.features.test_texts import noted, tiny
from tests.factory_assets.ml.models.cases import (
    KINDS,
    SEQUENCES,
    home_with_registry,
    keep,
    pipeline,
    rows,
    series,
    serve,
    verdict,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_with_registry(tmp_path / "home")


NOW = np.datetime64("2025-03-30T12:00:00")

PARTS = {"train": 600, "validation": 200, "test": 200}


def levels(count: int, seed: int, task: str = "binary") -> pa.Table:
    """Return rows with a whole number that is a category, and has gaps."""
    chance = np.random.default_rng(seed)
    values = pa.array(chance.integers(1, 4, count), mask=chance.random(count) < 0.1)
    return rows(count, seed, task).append_column("level", values)


class Deployed:
    """A home with one deployed version."""

    def __init__(self, home: Home, declared: Pipeline, tables: Mapping[str, pa.Table]) -> None:
        self.parts = SplitResult(
            **{name: keep(home, name, table) for name, table in tables.items()}
        )
        candidate = train(declared, self.parts, home)
        said = verdict(declared, self.parts, candidate, home)
        self.champion = serve(declared, self.parts, candidate, said, home)
        self.registry = Registry(home)
        self.test = read_arrow(self.parts.test, home)

    @property
    def version(self) -> Version:
        return self.registry.version("p", 1)

    @property
    def served(self) -> OnnxModel:
        return load_served(self.registry, self.version)

    def load(self) -> Any:
        import mlflow

        return mlflow.pyfunc.load_model(str(self.version.files))


def tables(task: str = "binary") -> dict[str, pa.Table]:
    return {name: levels(count, i, task) for i, (name, count) in enumerate(PARTS.items())}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_frame_gives_the_served_outputs(task: str, home: Home, tmp_path: Path) -> None:
    declared = pipeline(tmp_path, KINDS["linear"], categorical=("level", "open"))
    deployed = Deployed(home, declared, tables(task))
    frame = deployed.test.to_pandas()
    # As pandas has them: whole numbers with gaps are floats, text with gaps is text.
    assert frame["level"].dtype == float
    assert frame["colour"].isna().any()
    [answer] = deployed.load().predict(frame).values()
    np.testing.assert_allclose(answer, deployed.served.outputs(deployed.test), atol=1e-6)
    integers = deployed.test.filter(pa.compute.is_valid(deployed.test["level"]))
    frame = integers.to_pandas().astype({"wear": int, "level": int})
    rounded = integers.set_column(
        integers.column_names.index("wear"), "wear", pa.array(frame["wear"])
    )
    [answer] = deployed.load().predict(frame).values()
    np.testing.assert_allclose(answer, deployed.served.outputs(rounded), atol=1e-6)


def test_the_example_is_a_row_that_can_be_scored(home: Home, tmp_path: Path) -> None:
    declared = pipeline(tmp_path, KINDS["linear"], categorical=("level", "open"))
    model = Deployed(home, declared, tables()).load()
    assert model.input_example is not None
    assert model.predict(model.input_example)["probabilities"].shape == (1, 2)


def test_mlflow_onnx_opens_the_graph_that_the_factory_serves(home: Home, tmp_path: Path) -> None:
    import mlflow

    declared = pipeline(tmp_path, KINDS["linear"], categorical=("level",))
    deployed = Deployed(home, declared, tables())
    files = deployed.version.files
    content = (files / "model.onnx").read_bytes()
    assert sha256(content).hexdigest() == deployed.champion.onnx_sha256
    described = mlflow.models.Model.load(str(files))
    assert described.metadata["classes"] == ["0", "1"]
    assert described.metadata["threshold"] == deployed.served.threshold
    assert described.metadata["sha256"] == {
        name: sha256((files / name).read_bytes()).hexdigest()
        for name in ("model.onnx", "table.onnx")
    }
    graph = mlflow.onnx.load_model(str(files)).graph
    assert {value.name for value in graph.input} == {*deployed.served.inputs}


def test_series_are_fed_as_arrays(home: Home, tmp_path: Path) -> None:
    split = {name: series(12, i) for i, name in enumerate(PARTS)}
    declared = pipeline(tmp_path, {**SEQUENCES["gru"], "epochs": 1}, exclude=("unit",))
    deployed = Deployed(home, declared, split)
    model = deployed.load()
    assert model.input_example is None
    served = deployed.served
    assert served.series
    layout, windows = lay_out(deployed.test, served.series)
    ordered = deployed.test.take(layout)
    feed = {
        spec.name: ordered[spec.name].to_pandas().to_numpy(spec.type)[:, None]
        for spec in model.metadata.get_input_schema().inputs
        if spec.name != WINDOWS
    }
    answer = model.predict({**feed, WINDOWS: windows.places()})["probabilities"]
    np.testing.assert_allclose(answer, served.outputs(deployed.test), atol=1e-6)


def test_times_are_fed_as_seconds(home: Home, tmp_path: Path) -> None:
    split = {
        name: rows(count, i).append_column("at", pa.array(NOW + np.arange(count) * 1_000_000))
        for i, (name, count) in enumerate(PARTS.items())
    }
    deployed = Deployed(home, pipeline(tmp_path, KINDS["linear"]), split)
    model = deployed.load()
    frame = deployed.test.to_pandas()
    frame["at"] = frame["at"].astype("datetime64[s]").astype("int64")
    columns = [spec.name for spec in model.metadata.get_input_schema().inputs]
    answer = model.predict(frame[columns])["probabilities"]
    np.testing.assert_allclose(answer, deployed.served.outputs(deployed.test), atol=1e-6)
    assert model.metadata.metadata["seconds since 1970"] == ["at"]
    assert np.isfinite(model.predict(model.input_example)["probabilities"]).all()


def test_texts_are_fed_as_the_output_of_their_encoder(home: Home, tmp_path: Path) -> None:
    text = {"note": str(tiny(tmp_path / "tiny"))}
    declared = pipeline(tmp_path, KINDS["linear"], text=text, exclude=("heat", "wear"))
    split = {name: noted(count, i) for i, (name, count) in enumerate(PARTS.items())}
    deployed = Deployed(home, declared, split)
    model = deployed.load()
    frame = deployed.test.to_pandas()
    feed = {
        spec.name: np.array(frame[spec.name], dtype=spec.type)[:, None]
        for spec in model.metadata.get_input_schema().inputs
        if spec.name != "note"
    }
    [note] = deployed.served.texts
    answer = model.predict({**feed, "note": note.read(deployed.test)})["probabilities"]
    np.testing.assert_allclose(answer, deployed.served.outputs(deployed.test), atol=1e-6)


def test_the_environment_is_pinned_in_files(home: Home, tmp_path: Path) -> None:
    from importlib.metadata import version

    deployed = Deployed(home, pipeline(tmp_path, KINDS["linear"]), tables())
    lines = (deployed.version.files / "requirements.txt").read_text().splitlines()
    assert lines == [f"{n}=={version(n)}" for n in ("mlflow", "numpy", "onnx", "onnxruntime")]


def test_writing_again_changes_nothing_and_repairs_what_was_changed(
    home: Home, tmp_path: Path
) -> None:
    deployed = Deployed(home, pipeline(tmp_path, KINDS["linear"]), tables())
    files = deployed.version.files
    example = json.loads((files / "input_example.json").read_text())
    flavour = OnnxFlavour(
        graph=(files / "model.onnx").read_bytes(),
        table_graph=None,
        example=dict(zip(example["columns"], example["data"][0], strict=True)),
        facts={"classes": ["0", "1"], "threshold": deployed.served.threshold},
    )

    def state() -> dict[str, tuple[int, bytes]]:
        return {path.name: (path.stat().st_ino, path.read_bytes()) for path in files.iterdir()}

    before = state()
    write_flavour(deployed.registry, deployed.version, flavour)
    assert state() == before
    (files / "MLmodel").write_text("flavors: {python_function: {loader_module: os}}")
    (files / "model.onnx").unlink()
    write_flavour(deployed.registry, deployed.version, flavour)
    assert {name: content for name, (_, content) in state().items()} == {
        name: content for name, (_, content) in before.items()
    }
