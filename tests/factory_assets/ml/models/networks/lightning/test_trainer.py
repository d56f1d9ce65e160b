"""A training that runs out of memory restarts once with half the batch size, and reports it."""

from pathlib import Path
from typing import Any

import pytest

from factory_assets.ml.training.fit_result import FitResult
from factory_assets.ml.training.fitting import fit
from factory_assets.stages.train import train
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.tracking.registry import Registry
from tests.factory_assets.ml.models.cases import parts, pipeline, rows

pytestmark = pytest.mark.slow

HUNGRY = """
import torch
from lightning.pytorch import LightningModule

class Net(LightningModule):
    def __init__(self, numeric, categories, outputs, most=40):
        super().__init__()
        self.layer, self.most = torch.nn.Linear(numeric, outputs), most

    def forward(self, numbers, codes):
        if self.training and len(numbers) > self.most:
            torch.empty(2**50)  # more than any machine has: torch's own allocator fails
        return self.layer(numbers)
"""


def hungry(folder: Path, **args: Any) -> dict[str, Any]:
    (folder / "net.py").write_text(HUNGRY)
    return {"python": "net:Net", "epochs": 2, "batch_size": 60, "args": args}


def fitted(folder: Path, model: dict[str, Any], messages: list[str]) -> FitResult:
    home = Home(folder / "home")
    declared = pipeline(folder, model)
    return fit(declared, rows(600, 1), rows(200, 2), home, progress=messages.append)


def test_lack_of_memory_restarts_with_half_the_batch_size(tmp_path: Path) -> None:
    messages: list[str] = []
    restarted = fitted(tmp_path, hungry(tmp_path), messages)
    assert restarted.halved
    assert "restarting with batches half as large" in messages[0]
    assert messages[1].startswith("epoch 1/2")
    small = fitted(tmp_path, {**hungry(tmp_path), "batch_size": 30}, [])
    assert not small.halved
    assert [e.train_loss for e in small.history] == [e.train_loss for e in restarted.history]


def test_lack_of_memory_with_half_the_batch_size_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="memory is too small to train") as caught:
        fitted(tmp_path, hungry(tmp_path, most=10), [])
    assert "lower train.model.batch_size" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_candidate_records_halved_batches(home: Home, tmp_path: Path) -> None:
    candidate = train(pipeline(tmp_path, hungry(tmp_path)), parts(home), home)
    assert candidate.halved
    run = Registry(home).client.get_run(candidate.run_id)
    assert run.data.params["batches"] == "half as large as declared, because memory was short"
