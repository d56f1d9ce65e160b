"""Training in several processes, on several nodes, and in another precision."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.ml.artifacts.trained_model import save_trained
from factory_assets.ml.models.networks.lightning.batches import ShuffledSlices
from factory_assets.ml.training.fit_result import FitResult
from factory_assets.ml.training.fitting import fit
from factory_assets.results.model import Candidate, Champion
from factory_assets.results.stages import Stage
from factory_resources.errors import DeclarationError, ModelError
from factory_resources.home.home import PROJECT, Home
from tests.factory_assets.ml.models.cases import SEQUENCES, pipeline, rows, series
from tests.pipelines import APPLES, declare, write_apples
from tests.running_factory import free_port

pytestmark = pytest.mark.slow

SMALL = {"kind": "mlp", "hidden": [16], "epochs": 4, "batch_size": 32}

TWO = {"accelerator": "cpu", "devices": 2}


def trained(folder: Path, trainer: dict[str, Any], model: dict[str, Any] = SMALL) -> FitResult:
    data = (series(30, 1), series(20, 2)) if "by" in model else (rows(1201, 1), rows(300, 2))
    return fit(pipeline(folder, model, trainer=trainer), *data, Home(folder / "home"))


def digest(fitted: FitResult, home: Home) -> str:
    with home.scratch() as files:
        return save_trained(fitted.trained, files)


@pytest.mark.long
def test_two_processes_train_a_network_through_the_real_stages(home: Home, tmp_path: Path) -> None:
    write_apples(tmp_path, rows=1000)
    train = {"target": "label", "model": {**SMALL, "epochs": 8}, "trainer": TWO}
    declared = declare(tmp_path / "apples", {**APPLES, "train": train, **_source(tmp_path)})
    messages: list[str] = []
    stages: tuple[Stage, ...] = ("ingest", "clean", "split", "train", "evaluate", "deploy")
    values = [
        run_stage(StageRequest(declared, s, home, "run", progress=messages.append)).value
        for s in stages
    ]
    candidate, champion = values[3], values[5]
    assert isinstance(candidate, Candidate)
    assert isinstance(champion, Champion)
    assert candidate.validation["roc_auc"] > 0.7
    assert champion.max_difference < 1e-5
    assert [line.split(",")[0] for line in messages] == [f"epoch {i}/8" for i in range(1, 9)]


def _source(folder: Path) -> dict[str, Any]:
    return {"ingest": {**APPLES["ingest"], "source": {"files": str(folder / "data.csv")}}}


@pytest.mark.long
@pytest.mark.parametrize(
    "model",
    [SMALL, {**SMALL, "kind": "tabm", "members": 4}, SEQUENCES["gru"]],
    ids=["mlp", "tabm", "gru"],
)
def test_two_processes_are_reproducible(model: dict[str, Any], tmp_path: Path) -> None:
    one, other = (trained(tmp_path, TWO, model) for _ in range(2))
    home = Home(tmp_path / "home")
    assert digest(one, home) == digest(other, home)
    assert one.history == other.history
    # Rows, batches and learning rate are the same, so one process gives nearly the same network.
    alone = trained(tmp_path, {"accelerator": "cpu"}, model)
    assert digest(alone, home) != digest(one, home)
    assert one.history[-1].validation_loss == pytest.approx(
        alone.history[-1].validation_loss, rel=0.2
    )


@pytest.mark.parametrize("count", [10, 11, 12])
def test_processes_read_all_rows_in_equal_shares(count: int) -> None:
    import torch

    batch = (torch.arange(count), torch.arange(count), torch.arange(count))
    shares = [ShuffledSlices(batch, 2, 7, rank, 3) for rank in range(3)]
    read = [[part[2] for part in share] for share in shares]
    assert [len(parts) for parts in read] == [len(share) for share in shares] == [2] * 3
    assert len({tuple(map(len, parts)) for parts in read}) == 1
    assert set(torch.cat([torch.cat(parts) for parts in read]).tolist()) == set(range(count))


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        pytest.param(
            "raise ValueError('no such thing')",
            "net:Net failed: ValueError: no such thing",
            marks=pytest.mark.long,
        ),
        ("os.kill(os.getpid(), 9)", r"a process of the training was killed \(SIGKILL\); run again"),
    ],
    ids=["error", "kill"],
)
@pytest.mark.long
def test_the_end_of_one_process_is_one_line(ends: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from lightning.pytorch import LightningModule\n"
        "class Net(LightningModule):\n"
        "    def __init__(self, *_):\n"
        "        super().__init__()\n"
        "        import os\n"
        "        if os.environ.get('RANK') == '1':\n"
        f"            {ends}\n"
    )
    with pytest.raises(ModelError, match=told):
        trained(tmp_path, TWO, {"python": "net:Net", "epochs": 1})
    assert multiprocessing.active_children() == []


NODE = """
import sys
from pathlib import Path
from tests.factory_assets.ml.models.networks.lightning.test_distributed import digest, trained
from factory_resources.home.home import Home
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    trainer = {"accelerator": "cpu", "nodes": 2}
    print("digest", digest(trained(folder, trainer), Home(folder / "home")))
"""


@pytest.mark.long
def test_two_nodes_train_the_same_network(tmp_path: Path) -> None:
    script = tmp_path / "node.py"
    script.write_text(NODE)
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    nodes = []
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
        variables = {**address, "NODE_RANK": str(rank), "GLOO_SOCKET_IFNAME": "lo"}
        nodes.append(
            subprocess.Popen(
                [sys.executable, str(script), str(tmp_path / str(rank))],
                env={**os.environ, **variables, "PYTHONPATH": str(PROJECT)},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    one, other = (node.communicate(timeout=300)[0].splitlines()[-1] for node in nodes)
    assert one.startswith("digest ")
    assert one == other


def test_nodes_without_an_address_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="2 nodes are declared, but MASTER_ADDR"):
        trained(tmp_path, {"accelerator": "cpu", "nodes": 2})


def test_precision_changes_the_weights_but_hardly_the_quality(tmp_path: Path) -> None:
    result = trained(tmp_path, {"accelerator": "cpu", "precision": "bf16-mixed"})
    plain = trained(tmp_path, {"accelerator": "cpu"})
    assert digest(result, Home(tmp_path)) != digest(plain, Home(tmp_path))
    assert result.validation["roc_auc"] == pytest.approx(plain.validation["roc_auc"], abs=0.05)


@pytest.mark.parametrize("accelerator", ["cpu", "auto"])
def test_a_gpu_that_is_not_there_is_one_line(accelerator: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"train\.trainer\.devices: there is no GPU 99"):
        trained(tmp_path, {"accelerator": accelerator, "devices": [99]})


def test_a_missing_accelerator_is_one_line(tmp_path: Path) -> None:
    import torch

    for name, available in {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }.items():
        if not available:
            with pytest.raises(ModelError, match=f"this machine has no {name}"):
                trained(tmp_path, {"accelerator": name})


def test_trainer_settings_are_refused_for_other_models_than_networks(tmp_path: Path) -> None:
    attributes = {**APPLES, "train": {**APPLES["train"], "trainer": {"devices": 2}}}
    with pytest.raises(DeclarationError, match="`trainer` is for networks"):
        declare(tmp_path / "apples", attributes)
