"""Networks train on a GPU as on the processor: twice the same, resumed, served, within memory."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from factory_assets.ml.training.fit_result import FitResult
from factory_assets.ml.training.fitting import fit
from factory_resources.home.home import PROJECT, Home
from factory_resources.metering.meter import Meter, Rates
from tests.factory_assets.ml.features.test_images import seen
from tests.factory_assets.ml.models.cases import SEQUENCES, pipeline, rows, series
from tests.factory_assets.ml.models.networks.lightning.test_checkpoint import (
    Killed,
    digest,
    killing,
)
from tests.factory_assets.ml.models.test_kinds import own, same_everywhere
from tests.factory_resources.boundary.inside import boundary, run_inside
from tests.ordinary_user import USER

pytestmark = pytest.mark.slow

_MLP: dict[str, Any] = {"kind": "mlp", "hidden": [16], "epochs": 6, "batch_size": 16}

_KINDS: dict[str, dict[str, Any]] = {
    "mlp": _MLP,
    "tabm": {**_MLP, "kind": "tabm", "members": 4},
    "ensemble": {**_MLP, "ensemble": 3},
    "cnn": {"kind": "cnn", "image": "seen", "epochs": 6, "batch_size": 32},
    **SEQUENCES,
    "own": {},
}
"""Every kind of network; a module of one's own has a file beside it."""


def _cases() -> list[Any]:
    """Return the kinds; on the processor, tests of other modules train all of them already."""
    return [
        pytest.param(kind, marks=() if kind == "mlp" else pytest.mark.long, id=kind)
        for kind in _KINDS
    ]


def _tables(kind: str) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Return rows for training, validation and test."""
    if kind in SEQUENCES:
        return series(60, 1), series(20, 2), series(20, 3)
    if kind == "cnn":
        return seen(600, 1, "binary"), seen(200, 2, "binary"), seen(100, 3, "binary")
    return rows(1500, 1), rows(300, 2), rows(300, 3)


def _model(kind: str, folder: Path) -> dict[str, Any]:
    return own(folder, "Plain", epochs=6) if kind == "own" else _KINDS[kind]


def trained(device: str, kind: str, folder: Path, **settings: Any) -> FitResult:
    """Train a network of that kind on the device, and require that the device was used."""
    import torch

    trainer = {"accelerator": device, **settings.pop("trainer", {})}
    model = settings.pop("model", None) or _model(kind, folder)
    declared = pipeline(folder, model, trainer=trainer)
    train, validation, _ = _tables(kind)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    result = fit(declared, train, validation, Home(folder / "home"), **settings)
    if device == "cuda" and "devices" not in trainer:
        assert torch.cuda.max_memory_allocated() > 0
    return result


@pytest.mark.parametrize("kind", _cases())
def test_a_network_is_the_same_twice_and_served_the_same(
    device: str, kind: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    home = Home(tmp_path / "home")
    started = time.monotonic()
    one = trained(device, kind, tmp_path)
    record_property("training s", round(time.monotonic() - started, 1))
    record_property("roc_auc", round(one.validation["roc_auc"], 4))
    assert one.validation["roc_auc"] > 0.75
    assert digest(trained(device, kind, tmp_path), home) == digest(one, home)
    # Outputs are computed on the processor, wherever the network was trained.
    same_everywhere(one.trained, tmp_path, "binary", 1e-5, _tables(kind)[2])


@pytest.mark.parametrize(
    "kind",
    ["mlp", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("tabm", "gru", "cnn"))],
)
def test_a_killed_training_resumes_to_the_same_weights(
    device: str, kind: str, tmp_path: Path
) -> None:
    home, folder = Home(tmp_path / "home"), tmp_path / "checkpoints"
    undisturbed = trained(device, kind, tmp_path, trainer={"checkpoint": {"seconds": 1e9}})
    always = {"checkpoint": {"seconds": 0}}
    messages: list[str] = []
    with pytest.raises(Killed):
        trained(
            device,
            kind,
            tmp_path,
            trainer=always,
            progress=killing(3, messages),
            checkpoints=folder,
        )
    again = trained(
        device, kind, tmp_path, trainer=always, progress=messages.append, checkpoints=folder
    )
    assert any("from its checkpoint" in line for line in messages)
    assert digest(again, home) == digest(undisturbed, home)
    assert again.history == undisturbed.history


_HUNGRY = """
import torch
from lightning.pytorch import LightningModule

class Net(LightningModule):
    def __init__(self, numeric, categories, outputs):
        super().__init__()
        self.layer = torch.nn.Linear(numeric, outputs)

    def forward(self, numbers, codes):
        if self.training and numbers.is_cuda:
            # All memory of the device is enough for 50 rows.
            total = torch.cuda.mem_get_info(numbers.device)[1]
            size = len(numbers) * (total // 50)
            torch.empty(size, dtype=torch.uint8, device=numbers.device)
        elif self.training and len(numbers) > 40:
            torch.empty(2**50)  # more than any machine has
        return self.layer(numbers)
"""


def test_lack_of_memory_is_answered_by_half_the_batch(device: str, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(_HUNGRY)
    model = {"python": "net:Net", "epochs": 2, "batch_size": 60}
    messages: list[str] = []
    result = trained(device, "own", tmp_path, model=model, progress=messages.append)
    assert result.halved
    assert "restarting with batches half as large" in messages[0]
    small = trained(device, "own", tmp_path, model={**model, "batch_size": 30})
    assert not small.halved
    assert [one.train_loss for one in small.history] == [one.train_loss for one in result.history]


def test_the_energy_of_the_device_is_measured(
    device: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with Meter(Rates()) as meter:
        trained(device, "mlp", tmp_path)
        cost = meter.read()
    record_property("Wh", round(cost.wh, 4))
    record_property("method", cost.method)
    assert cost.wh > 0
    assert ("NVML, whole GPU" in cost.method) == (device == "cuda")


_TWICE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
if __name__ == "__main__":
    from factory_resources.home.home import Home
    from tests.gpu.test_networks import digest, trained
    folder = Path(sys.argv[2])
    for _ in range(2):
        result = trained(sys.argv[3], "mlp", folder, trainer={"devices": 2})
        print("digest", digest(result, Home(folder / "home")))
"""


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that an ordinary user can reach; pytest's own is closed to others."""
    found = Path(tempfile.mkdtemp(prefix="factory-gpu-test-"))
    os.chown(found, *USER)
    yield found
    shutil.rmtree(found)


@pytest.mark.long
def test_two_processes_train_one_network_inside_the_boundary(
    device: str, reachable: Path, record_property: Callable[[str, object], None]
) -> None:
    """By NCCL on GPUs, by Gloo on processors."""
    import torch

    if device == "cuda" and torch.cuda.device_count() < 2:
        pytest.skip("NOT TESTED: NCCL needs a GPU for each process, and there is one")
    work = reachable / "work"
    work.mkdir()
    os.chown(work, *USER)
    script = work / "twice.py"
    script.write_text(_TWICE)
    ended = run_inside(
        boundary(writable=(work,), level="auto"),
        [sys.executable, str(script), str(PROJECT), str(work), device],
        reachable,
        timeout=500,
    )
    assert ended.code == 0, ended.errors
    assert ended.report is not None
    record_property("boundary", ended.report.level)
    one, other = [line for line in ended.output.splitlines() if line.startswith("digest ")]
    assert one == other
