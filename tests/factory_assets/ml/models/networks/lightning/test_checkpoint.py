"""A killed training goes on from its last checkpoint, and ends as if nothing had happened."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.ml.artifacts.trained_model import save_trained
from factory_assets.ml.training.fitting import FitResult, fit
from factory_assets.results.model import Candidate
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_resources.home.home import PROJECT, Home
from tests.factory_assets.ml.models.cases import SEQUENCES, pipeline, rows, series
from tests.pipelines import APPLES, declare, write_apples

pytestmark = pytest.mark.slow

OWN = """
import torch
from lightning.pytorch import LightningModule

class Net(LightningModule):
    def __init__(self, numeric, categories, outputs):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(numeric, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, outputs)
        )

    def forward(self, numbers, codes):
        return self.layers(numbers)

    def training_step(self, batch, index):
        numbers, codes, target = batch
        return torch.nn.functional.cross_entropy(self(numbers, codes), target)

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=0.05)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)]
"""

SMALL = {"epochs": 6, "batch_size": 16}

NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {"kind": "mlp", "hidden": [16], **SMALL},
    "ensemble": {"kind": "mlp", "hidden": [16], "ensemble": 3, "epochs": 3, "batch_size": 16},
    "gru": {**SEQUENCES["gru"], "dropout": 0.2, "batch_size": 8},
    "own": {"python": "net:Net", **SMALL},
}

EPOCHS = {"seconds": 1e9, "epochs": 1}

ALWAYS = {"seconds": 0}
"""After every epoch and, of an epoch's several blocks, after each."""

NEVER = {"seconds": 1e9}


class Killed(BaseException):
    """As abrupt as can be within a process."""


def killing(after: int, said: list[str]) -> Callable[[str], None]:
    """A listener that ends everything when so many epochs are told."""

    def progress(text: str) -> None:
        said.append(text)
        if sum("validation loss" in line for line in said) == after:
            raise Killed

    return progress


def tables(kind: str) -> tuple[pa.Table, pa.Table]:
    if kind == "gru":
        return series(40, 1), series(20, 2)
    return rows(1500, 1), rows(300, 2)


def digest(fitted: FitResult, home: Home) -> str:
    with home.scratch() as files:
        return save_trained(fitted.trained, files)


@pytest.mark.parametrize("kept", [EPOCHS, ALWAYS], ids=["after epochs", "amid epochs"])
@pytest.mark.parametrize("kind", NETWORKS)
def test_it_ends_with_the_same_weights(
    kind: str, kept: dict[str, Any], tmp_path: Path, home: Home
) -> None:
    (tmp_path / "net.py").write_text(OWN)
    data, folder = tables(kind), tmp_path / "kept"
    undisturbed = fit(
        pipeline(tmp_path, NETWORKS[kind], trainer={"checkpoint": NEVER}), *data, home
    )
    made = pipeline(tmp_path, NETWORKS[kind], trainer={"checkpoint": kept})
    said: list[str] = []
    for after in (2, 6):
        with pytest.raises(Killed):
            fit(made, *data, home, progress=killing(after, said), checkpoints=folder)
    again = fit(made, *data, home, progress=said.append, checkpoints=folder)
    assert digest(again, home) == digest(undisturbed, home)
    assert again.history == undisturbed.history
    assert again.best_epoch == undisturbed.best_epoch
    told = [line for line in said if "from its checkpoint" in line]
    # The epoch that was told when it was killed was not kept.
    place = 2 if kind == "ensemble" else 5
    assert f"goes on in epoch {place}, from its checkpoint" in told[-1]
    if kind == "ensemble":
        assert told[-2:] == [
            "network 1/3, is done, from its checkpoint",
            "network 2/3, goes on in epoch 2, from its checkpoint",
        ]


def test_early_stopping_is_not_forgotten(tmp_path: Path, home: Home) -> None:
    model = {"kind": "mlp", "epochs": 200, "patience": 3, "learning_rate": 0.05}
    data, said = (rows(600, 1), rows(200, 2)), list[str]()
    undisturbed = fit(pipeline(tmp_path, model), *data, home)
    made = pipeline(tmp_path, model, trainer={"checkpoint": EPOCHS})
    progress = killing(len(undisturbed.history), said)
    with pytest.raises(Killed):
        fit(made, *data, home, progress=progress, checkpoints=tmp_path / "kept")
    again = fit(made, *data, home, checkpoints=tmp_path / "kept")
    assert again.history == undisturbed.history
    assert digest(again, home) == digest(undisturbed, home)


@pytest.mark.parametrize("how", ["cut", "flipped", "empty", "other"])
def test_a_checkpoint_that_cannot_be_read_is_left(how: str, tmp_path: Path, home: Home) -> None:
    import torch

    made = pipeline(tmp_path, NETWORKS["mlp"], trainer={"checkpoint": EPOCHS})
    data, folder = tables("mlp"), tmp_path / "kept"
    with pytest.raises(Killed):
        fit(made, *data, home, progress=killing(3, []), checkpoints=folder)
    [path] = folder.rglob("*.ckpt")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if how == "other":
        torch.save({"state_dict": {}}, path)
        # As if it had been written so.
        path.rename(path.with_stem("0" * 64))
    else:
        path.write_bytes({"cut": content[:-9], "flipped": content, "empty": b""}[how])
    said: list[str] = []
    again = fit(made, *data, home, progress=said.append, checkpoints=folder)
    assert "cannot be read" in said[0]
    assert said[1].startswith("epoch 1/6")
    assert digest(again, home) == digest(fit(made, *data, home), home)


SCRIPT = """
import sys
from pathlib import Path
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_resources.home.home import Home

def say(text):
    print(text, flush=True)

pipeline, home = load_pipeline(Path(sys.argv[1])), Home(Path(sys.argv[2]))
for stage in ("ingest", "clean", "split", "train"):
    run_stage(Call(pipeline, stage, home, "first", progress=say))
"""


class Orchard:
    """A pipeline whose training takes many short epochs."""

    def __init__(self, root: Path, **train: Any) -> None:
        self.root = root
        model = {"kind": "mlp", "hidden": [8], "epochs": 100, "patience": 100}
        trained = {"target": "label", "model": model, "trainer": {"checkpoint": EPOCHS}, **train}
        (root / "apples").mkdir(parents=True, exist_ok=True)
        if not (root / "apples" / "data.csv").exists():
            write_apples(root / "apples", rows=2000)
        self.pipeline: Pipeline = declare(root / "apples", {**APPLES, "train": trained})
        self.home = Home(root / "home")

    def train(self, run: str, progress: Callable[[str], None], **more: Any) -> Candidate:
        """Run up to `train`."""
        stages: tuple[Stage, ...] = ("ingest", "clean", "split", "train")
        for stage in stages:
            call = StageRequest(self.pipeline, stage, self.home, run, progress=progress, **more)
            value = run_stage(call).value
        assert isinstance(value, Candidate)
        return value

    def begins(self, **more: Any) -> str:
        """The first that is said of a training."""
        said: list[str] = []

        def progress(text: str) -> None:
            said.append(text)
            raise Killed

        with pytest.raises(Killed):
            self.train("begun", progress, **more)
        return said[0]

    @property
    def kept(self) -> list[Path]:
        return [path for path in self.home.checkpoints.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Orchard:
    """A pipeline whose training a real `kill -9` has ended."""
    made = Orchard(tmp_path_factory.mktemp("killed"))
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(made.pipeline.folder), str(made.home.path)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    for line in process.stdout:
        if line.startswith("epoch 5/"):
            break
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    return made


def copied(made: Orchard, root: Path, **train: Any) -> Orchard:
    shutil.copytree(made.root, root)
    return Orchard(root, **train)


def test_killed_for_real_it_goes_on(killed: Orchard, tmp_path: Path) -> None:
    again = copied(killed, tmp_path / "again")
    assert again.kept
    said: list[str] = []
    candidate = again.train("second", said.append)
    assert "goes on in epoch" in said[0]
    assert int(said[0].split()[4].rstrip(",")) >= 5
    whole: list[str] = []
    undisturbed = Orchard(tmp_path / "whole").train("only", whole.append)
    assert len(said) < len(whole) == 100
    assert candidate.digest == undisturbed.digest
    assert candidate.history == undisturbed.history
    assert again.kept == []


def test_another_training_does_not_take_it_up(killed: Orchard, tmp_path: Path) -> None:
    short = {"kind": "mlp", "hidden": [8], "epochs": 3}
    for name, train in {"seed": {"seed": 1}, "model": {"model": short}}.items():
        other = copied(killed, tmp_path / name, **train)
        assert other.begins().startswith("epoch 1/")
    other = copied(killed, tmp_path / "data")
    write_apples(other.pipeline.folder, rows=1999)
    assert other.begins().startswith("epoch 1/")


def test_anew_is_anew(killed: Orchard, tmp_path: Path) -> None:
    other = copied(killed, tmp_path / "anew")
    assert other.begins().startswith("goes on in epoch")
    assert other.begins(reuse=False).startswith("epoch 1/")


def test_how_often_it_is_kept_changes_no_key(tmp_path: Path) -> None:
    often, seldom = (
        Orchard(tmp_path, trainer={"checkpoint": checkpoint}) for checkpoint in (EPOCHS, NEVER)
    )
    said: list[str] = []
    often.train("often", said.append)
    told = len(said)
    seldom.train("seldom", said.append)
    assert len(said) == told > 0
