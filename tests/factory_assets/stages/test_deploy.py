"""Only the very candidate that passed, computing what was judged, becomes champion."""

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.artifacts.calibration import Calibration
from factory_assets.ml.artifacts.onnx_export import export
from factory_assets.ml.artifacts.onnx_model import FILE, FOLDER, load_champion
from factory_assets.ml.artifacts.trained_model import TrainedModel, load_trained
from factory_assets.ml.training import decisions
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Candidate, Champion
from factory_assets.spec import Pipeline
from factory_assets.stages.train import train
from factory_resources.errors import ModelError, RefusedError, StorageError
from factory_resources.home.home import PROJECT, Home
from factory_resources.tables.snapshot import read_arrow
from factory_resources.tracking.registry import Registry
from tests.factory_assets.ml.models.cases import (
    KINDS,
    home_with_registry,
    keep,
    parts,
    pipeline,
    serve,
    verdict,
)
from tests.long_run import in_long

pytestmark = pytest.mark.slow


class Factory:
    """A home with as many candidates as asked for."""

    def __init__(
        self, home: Home, folder: Path, task: str = "binary", kind: str = "linear"
    ) -> None:
        self.home = home
        self.pipeline: Pipeline = pipeline(folder, KINDS[kind])
        self.parts: SplitResult = parts(home, task)

    def candidate(self, seed: int = 3) -> Candidate:
        made = pipeline(
            self.pipeline.folder, self.pipeline.spec.training.model.model_dump(), seed=seed
        )
        return train(made, self.parts, self.home)

    def verdict(self, candidate: Candidate, *, passed: bool = True) -> EvaluationResult:
        return verdict(self.pipeline, self.parts, candidate, self.home, passed=passed)

    def deploy(self, candidate: Candidate, said: EvaluationResult) -> Champion:
        return serve(self.pipeline, self.parts, candidate, said, self.home)

    @property
    def champion(self) -> int | None:
        return Registry(self.home).champion("p")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_with_registry(tmp_path / "home")


@pytest.fixture
def factory(home: Home, tmp_path: Path) -> Factory:
    return Factory(home, tmp_path)


@pytest.mark.parametrize("task", ["multiclass", "regression"])
@pytest.mark.parametrize("kind", ["mlp", "gradient_boosting"])
def test_exports_compares_and_serves(task: str, kind: str, home: Home, tmp_path: Path) -> None:
    factory = Factory(home, tmp_path, task, kind)
    candidate = factory.candidate()
    champion = factory.deploy(candidate, factory.verdict(candidate))
    assert (champion.version, champion.replaced, champion.compared_rows) == (1, None, 200)
    assert champion.max_difference < 1e-5
    assert factory.champion == 1
    number, served = load_champion("p", home)
    assert number == 1
    assert served.outputs(read_arrow(factory.parts.test, home)).shape[0] == 200
    tags = Registry(home).version_tags("p", 1)
    assert tags["factory.onnx_sha256"] == champion.onnx_sha256


def test_the_next_one_replaces_it(factory: Factory) -> None:
    one, two = factory.candidate(), factory.candidate(seed=4)
    factory.deploy(one, factory.verdict(one))
    champion = factory.deploy(two, factory.verdict(two))
    assert (champion.version, champion.replaced, factory.champion) == (2, 1, 2)
    # Once more says the same of the same.
    assert factory.deploy(two, factory.verdict(two)) == champion


def test_a_deployed_version_keeps_its_graph(
    factory: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    def otherwise(trained: TrainedModel) -> bytes:
        model = onnx.load_from_string(export(trained))
        model.doc_string = "exported by other code"
        other: bytes = model.SerializeToString()
        return other

    candidate = factory.candidate()
    said = factory.verdict(candidate)
    factory.deploy(candidate, said)
    monkeypatch.setattr("factory_assets.stages.deploy.export", otherwise)
    with pytest.raises(RefusedError, match="train a new version"):
        factory.deploy(candidate, said)
    assert load_champion("p", factory.home)[0] == 1


def test_failed_gates_leave_the_champion(factory: Factory) -> None:
    one, two = factory.candidate(), factory.candidate(seed=4)
    factory.deploy(one, factory.verdict(one))
    with pytest.raises(RefusedError, match=r"version 2 did not pass its gates: f1 0\.5"):
        factory.deploy(two, factory.verdict(two, passed=False))
    assert factory.champion == 1


@pytest.mark.parametrize("change", [{"version": 2}, {"digest": "0" * 64}, {"model": "q"}])
def test_a_verdict_of_another_candidate_is_refused(
    factory: Factory, change: dict[str, Any]
) -> None:
    candidate = factory.candidate()
    said = factory.verdict(candidate)
    other = said.model_copy(update={"candidate": candidate.model_copy(update=change)})
    with pytest.raises(RefusedError, match="evaluate this candidate first"):
        factory.deploy(candidate, other)
    assert factory.champion is None


@pytest.mark.parametrize("wrong", [0.001, float("nan")])
def test_broken_parity_is_refused(factory: Factory, wrong: float) -> None:
    candidate = factory.candidate()
    said = factory.verdict(candidate)
    recorded = read_arrow(said.predictions, factory.home)
    outputs = recorded["p_1"].to_numpy().copy()
    outputs[17] += wrong
    changed = recorded.set_column(recorded.column_names.index("p_1"), "p_1", pa.array(outputs))
    said = said.model_copy(update={"predictions": keep(factory.home, "wrong", changed)})
    with pytest.raises(RefusedError, match="differs from the evaluated one by"):
        factory.deploy(candidate, said)
    assert factory.champion is None


def test_absurd_numbers_of_test_rows_keep_no_model_out(home: Home, tmp_path: Path) -> None:
    """As the -3.4e38 of rows without a value: what serves refuses them, and trains on none."""
    factory = Factory(home, tmp_path, "regression")
    test = read_arrow(factory.parts.test, home)
    wear = test["wear"].to_numpy().copy()
    wear[:2] = -3.4e38, 1e33
    test = test.set_column(test.column_names.index("wear"), "wear", pa.array(wear))
    factory.parts = factory.parts.model_copy(update={"test": keep(home, "far", test)})
    candidate = factory.candidate()
    champion = factory.deploy(candidate, factory.verdict(candidate))
    assert champion.compared_rows == 198
    assert champion.max_difference < 1e-5


def test_a_forest_whose_votes_are_rounded_serves_by_a_more_exact_graph(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubting = Calibration(method="temperature", slope=0.2)
    monkeypatch.setattr(decisions, "fit_calibration", lambda *_: doubting)
    factory = Factory(home, tmp_path, kind="extra_trees")
    candidate = factory.candidate()
    champion = factory.deploy(candidate, factory.verdict(candidate))
    assert champion.max_difference < 1e-6
    trained = load_trained(candidate, home, tmp_path)
    assert champion.onnx_sha256 != sha256(export(trained)).hexdigest()


def test_judged_rows_are_found_by_identity(factory: Factory) -> None:
    """Where only some rows were judged, in another order, each is compared with itself."""
    candidate = factory.candidate()
    said = factory.verdict(candidate)
    some = np.random.default_rng(0).permutation(200)[:50]
    few = keep(factory.home, "few", read_arrow(said.predictions, factory.home).take(some))
    champion = factory.deploy(candidate, said.model_copy(update={"predictions": few}))
    assert champion.compared_rows == 50
    assert champion.max_difference < 1e-5


def test_rows_that_are_no_test_rows_are_refused(factory: Factory) -> None:
    candidate = factory.candidate()
    said = factory.verdict(candidate)
    table = read_arrow(said.predictions, factory.home)
    foreign = table.set_column(0, "_file", pa.array(["g"] * 200))
    said = said.model_copy(update={"predictions": keep(factory.home, "foreign", foreign)})
    with pytest.raises(ModelError, match="200 evaluated rows are not among the test rows"):
        factory.deploy(candidate, said)


def test_tampered_candidate_is_refused(factory: Factory) -> None:
    candidate = factory.candidate()
    said = factory.verdict(candidate)
    files = Registry(factory.home).version("p", 1).files
    (files / "weights.safetensors").write_bytes(b"other")
    with pytest.raises(ModelError, match=r"weights\.safetensors is not the one"):
        factory.deploy(candidate, said)
    assert factory.champion is None


def test_tampered_graph_is_not_served(factory: Factory) -> None:
    candidate = factory.candidate()
    factory.deploy(candidate, factory.verdict(candidate))
    path = Registry(factory.home).run_files("p", candidate.run_id) / FOLDER / FILE
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelError, match=r"model\.onnx is not the one that was deployed"):
        load_champion("p", factory.home)
    path.unlink()
    with pytest.raises(ModelError, match=r"model\.onnx is missing"):
        load_champion("p", factory.home)
    path.mkdir()
    with pytest.raises(StorageError, match=r"model\.onnx: cannot be read \(Is a directory\)"):
        load_champion("p", factory.home)


def test_nothing_serves_before_the_first_deploy(home: Home) -> None:
    shipped = "tumour_diagnosis"
    told = f"'{shipped}' has no champion yet; train and deploy one: factory run {shipped}"
    with pytest.raises(ModelError, match=told):
        load_champion(shipped, home)


def opens_in_mlflow(home: Home, version: int) -> bool:
    """Whether the version has a flavour; if it has one, it must open."""
    import mlflow

    files = str(Registry(home).version("p", version).files)
    if not mlflow.models.Model.load(files).flavors:
        return False
    return bool(mlflow.pyfunc.load_model(files))


CRASH = """
import os, signal, sys
from pathlib import Path
from factory_assets.results.evaluation import EvaluationResult
from factory_resources.home.home import Home
from factory_resources.tracking.registry import Registry
from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.stages.deploy import deploy
from factory_assets.ml.artifacts.onnx_export import export
from tests.factory_assets.ml.models.cases import KINDS, pipeline
from factory_assets.results.data import SplitResult

folder = Path(sys.argv[1])
said = EvaluationResult.model_validate_json((folder / "verdict.json").read_bytes())
given = SplitResult.model_validate_json((folder / "parts.json").read_bytes())
owner = {"Registry": Registry, "Home": Home}[sys.argv[2]]
method, times = sys.argv[3], [int(sys.argv[4])]
original = getattr(owner, method)
def killed(*args):
    original(*args)
    times[0] -= 1
    if not times[0]:
        os.kill(os.getpid(), signal.SIGKILL)
setattr(owner, method, killed)
deploy(pipeline(folder, KINDS["linear"]), given, said.candidate, said, Home(folder / "home"))
"""


@pytest.mark.parametrize(
    ("call", "opens"),
    [
        (("Home", "write_atomic", "4"), False),
        *in_long(
            [(("Registry", "tag_version", "1"), True), (("Registry", "add_files", "1"), False)]
        ),
        # The files of MLflow's flavour: its graph, its environment, and last what names them.
        *in_long([(("Home", "write_atomic", "1"), False), (("Home", "write_atomic", "5"), True)]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else None,
)
def test_killed_before_the_alias_moves(
    factory: Factory, tmp_path: Path, call: tuple[str, ...], opens: bool
) -> None:
    one, two = factory.candidate(), factory.candidate(seed=4)
    factory.deploy(one, factory.verdict(one))
    said = factory.verdict(two)
    (tmp_path / "verdict.json").write_text(said.model_dump_json())
    (tmp_path / "parts.json").write_text(factory.parts.model_dump_json())
    killed = subprocess.run(
        [sys.executable, "-c", CRASH, str(tmp_path), *call],
        cwd=PROJECT,
        env=dict(os.environ),
        check=False,
        capture_output=True,
    )
    assert killed.returncode == -9, killed.stderr.decode()
    number, served = load_champion("p", factory.home)
    assert number == 1
    assert served.classes == ("0", "1")
    assert opens_in_mlflow(factory.home, 2) == opens
    # What was left half done does not stand in the way.
    assert factory.deploy(two, said).replaced == 1
    assert load_champion("p", factory.home)[0] == 2
    assert opens_in_mlflow(factory.home, 2)
