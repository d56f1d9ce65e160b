"""A killed training resumes from its last checkpoint and ends with the same weights."""

import shutil
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.ml.artifacts.trained_model import save_trained
from factory_assets.ml.training.fit_result import FitResult
from factory_assets.ml.training.fitting import fit
from factory_assets.results.model import Candidate
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import SEQUENCES, pipeline, rows, series
from tests.killed_steps import quick_processes
from tests.long_run import in_long
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
    "tabm": {"kind": "tabm", "hidden": [16], "members": 4, **SMALL},
    "ensemble": {"kind": "mlp", "hidden": [16], "ensemble": 3, "epochs": 3, "batch_size": 16},
    "gru": {**SEQUENCES["gru"], "dropout": 0.2, "batch_size": 8},
    "own": {"python": "net:Net", **SMALL},
}

EPOCHS = {"seconds": 1e9, "epochs": 1}

ALWAYS = {"seconds": 0}
"""After every epoch, and after every block of batches within an epoch."""

NEVER = {"seconds": 1e9}


class Killed(BaseException):
    """Ends a training as abruptly as is possible within a process."""


def killing(after: int, messages: list[str]) -> Callable[[str], None]:
    """Return a progress function that raises `Killed` when `after` epochs have been reported."""

    def progress(text: str) -> None:
        messages.append(text)
        if sum("validation loss" in line for line in messages) == after:
            raise Killed

    return progress


def tables(kind: str) -> tuple[pa.Table, pa.Table]:
    if kind == "gru":
        return series(40, 1), series(20, 2)
    return rows(1500, 1), rows(300, 2)


def digest(fitted: FitResult, home: Home) -> str:
    with home.scratch() as files:
        return save_trained(fitted.trained, files)


@pytest.mark.parametrize(
    ("kind", "checkpoint"),
    [
        ("mlp", EPOCHS),
        ("mlp", ALWAYS),
        *in_long([("tabm", ALWAYS), ("ensemble", ALWAYS)]),
        *in_long([("ensemble", EPOCHS), ("gru", EPOCHS), ("gru", ALWAYS)]),
        *in_long([("own", EPOCHS), ("own", ALWAYS)]),
    ],
)
def test_a_resumed_training_ends_with_the_same_weights(
    kind: str, checkpoint: dict[str, Any], tmp_path: Path, home: Home
) -> None:
    (tmp_path / "net.py").write_text(OWN)
    data, folder = tables(kind), tmp_path / "checkpoints"
    undisturbed = fit(
        pipeline(tmp_path, NETWORKS[kind], trainer={"checkpoint": NEVER}), *data, home
    )
    declared = pipeline(tmp_path, NETWORKS[kind], trainer={"checkpoint": checkpoint})
    messages: list[str] = []
    for after in (2, 6):
        with pytest.raises(Killed):
            fit(declared, *data, home, progress=killing(after, messages), checkpoints=folder)
    again = fit(declared, *data, home, progress=messages.append, checkpoints=folder)
    assert digest(again, home) == digest(undisturbed, home)
    assert again.history == undisturbed.history
    assert again.best_epoch == undisturbed.best_epoch
    resumed = [line for line in messages if "from its checkpoint" in line]
    # The kill came after the report of an epoch and before its checkpoint.
    epoch = 2 if kind == "ensemble" else 5
    assert f"resumes in epoch {epoch}, from its checkpoint" in resumed[-1]
    if kind == "ensemble":
        assert resumed[-2:] == [
            "network 1/3, is complete, from its checkpoint",
            "network 2/3, resumes in epoch 2, from its checkpoint",
        ]


def test_a_resumed_training_stops_early_at_the_same_epoch(tmp_path: Path, home: Home) -> None:
    model = {"kind": "mlp", "epochs": 200, "patience": 3, "learning_rate": 0.05}
    data, messages = (rows(600, 1), rows(200, 2)), list[str]()
    undisturbed = fit(pipeline(tmp_path, model), *data, home)
    declared = pipeline(tmp_path, model, trainer={"checkpoint": EPOCHS})
    progress = killing(len(undisturbed.history), messages)
    with pytest.raises(Killed):
        fit(declared, *data, home, progress=progress, checkpoints=tmp_path / "checkpoints")
    again = fit(declared, *data, home, checkpoints=tmp_path / "checkpoints")
    assert again.history == undisturbed.history
    assert digest(again, home) == digest(undisturbed, home)


@pytest.mark.parametrize("damage", ["cut", "other", *in_long(["flipped", "empty"])])
def test_a_damaged_checkpoint_is_ignored(damage: str, tmp_path: Path, home: Home) -> None:
    import torch

    declared = pipeline(tmp_path, NETWORKS["mlp"], trainer={"checkpoint": EPOCHS})
    data, folder = tables("mlp"), tmp_path / "checkpoints"
    with pytest.raises(Killed):
        fit(declared, *data, home, progress=killing(3, []), checkpoints=folder)
    [path] = folder.rglob("*.ckpt")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "other":
        torch.save({"state_dict": {}}, path)
        # A valid file whose name is not the digest of its content.
        path.rename(path.with_stem("0" * 64))
    else:
        path.write_bytes({"cut": content[:-9], "flipped": content, "empty": b""}[damage])
    messages: list[str] = []
    again = fit(declared, *data, home, progress=messages.append, checkpoints=folder)
    assert "is damaged and is ignored" in messages[0]
    assert messages[1].startswith("epoch 1/6")
    assert digest(again, home) == digest(fit(declared, *data, home), home)


def _train(folder: Path, home: Path, told: Connection) -> None:
    """Run the stages up to `train`, and tell each step."""
    pipeline = load_pipeline(folder)
    stages: tuple[Stage, ...] = ("ingest", "clean", "split", "train")
    for stage in stages:
        run_stage(StageRequest(pipeline, stage, Home(home), "first", progress=told.send))


class Orchard:
    """A pipeline whose training has many short epochs."""

    def __init__(self, root: Path, **train: Any) -> None:
        self.root = root
        model = {"kind": "mlp", "hidden": [8], "epochs": 100, "patience": 100}
        trainer = {"checkpoint": EPOCHS}
        # One fit: that the fits of folds and the last one resume is shown where they are.
        trained = {"target": "label", "model": model, "trainer": trainer, "refit": "never", **train}
        (root / "apples").mkdir(parents=True, exist_ok=True)
        if not (root / "apples" / "data.csv").exists():
            write_apples(root / "apples", rows=2000)
        self.pipeline: Pipeline = declare(root / "apples", {**APPLES, "train": trained})
        self.home = Home(root / "home")

    def train(self, run: str, progress: Callable[[str], None], **more: Any) -> Candidate:
        """Run the stages up to `train`."""
        stages: tuple[Stage, ...] = ("ingest", "clean", "split", "train")
        for stage in stages:
            call = StageRequest(self.pipeline, stage, self.home, run, progress=progress, **more)
            value = run_stage(call).value
        assert isinstance(value, Candidate)
        return value

    def first_message(self, **more: Any) -> str:
        """Start a training, kill it at its first message, and return that."""
        messages: list[str] = []

        def progress(text: str) -> None:
            messages.append(text)
            raise Killed

        with pytest.raises(Killed):
            self.train("begun", progress, **more)
        return messages[0]

    @property
    def checkpoints(self) -> list[Path]:
        return [path for path in self.home.checkpoints.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Orchard:
    """A pipeline whose training was ended by a real `kill -9`."""
    orchard = Orchard(tmp_path_factory.mktemp("killed"))
    processes = quick_processes()
    heard, told = processes.Pipe(duplex=False)
    arguments = orchard.pipeline.folder, orchard.home.path, told
    process = processes.Process(target=_train, args=arguments)
    process.start()
    told.close()
    while not heard.recv().startswith("epoch 5/"):
        pass
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    return orchard


def copied(orchard: Orchard, root: Path, **train: Any) -> Orchard:
    shutil.copytree(orchard.root, root)
    return Orchard(root, **train)


def test_a_training_resumes_after_kill_9(killed: Orchard, tmp_path: Path) -> None:
    again = copied(killed, tmp_path / "again")
    assert again.checkpoints
    messages: list[str] = []
    candidate = again.train("second", messages.append)
    assert "resumes in epoch" in messages[0]
    assert int(messages[0].split()[3].rstrip(",")) >= 5
    whole: list[str] = []
    undisturbed = Orchard(tmp_path / "whole").train("only", whole.append)
    assert len(messages) < len(whole) == 100
    assert candidate.digest == undisturbed.digest
    assert candidate.history == undisturbed.history
    assert again.checkpoints == []


def test_a_checkpoint_is_not_used_by_another_training(killed: Orchard, tmp_path: Path) -> None:
    short = {"kind": "mlp", "hidden": [8], "epochs": 3}
    for name, train in {"seed": {"seed": 1}, "model": {"model": short}}.items():
        other = copied(killed, tmp_path / name, **train)
        assert other.first_message().startswith("epoch 1/")
    other = copied(killed, tmp_path / "data")
    write_apples(other.pipeline.folder, rows=1999)
    assert other.first_message().startswith("epoch 1/")


def test_no_reuse_starts_a_training_from_the_beginning(killed: Orchard, tmp_path: Path) -> None:
    other = copied(killed, tmp_path / "again")
    assert other.first_message().startswith("resumes in epoch")
    assert other.first_message(reuse=False).startswith("epoch 1/")


def test_checkpoint_frequency_does_not_change_the_cache_key(tmp_path: Path) -> None:
    often, seldom = (
        Orchard(tmp_path, trainer={"checkpoint": checkpoint}) for checkpoint in (EPOCHS, NEVER)
    )
    messages: list[str] = []
    often.train("often", messages.append)
    count = len(messages)
    seldom.train("seldom", messages.append)
    assert len(messages) == count > 0
