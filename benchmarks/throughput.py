"""Training a network against a plain PyTorch loop, in rows per second of CPU.

    python -m benchmarks.throughput [ROWS ...]

An MLP 64-64 with dropout, batches of 1,024. The factory trains with its checkpoints, meter, early
stopping and log in MLflow; the plain loop has Adam over slices of shuffled tensors and nothing
else, on one thread too. Each side is a process of its own, and counts when everything is imported.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Result, measure, sided

if TYPE_CHECKING:
    from factory_assets.ml.models.base import FitContext

ROWS, WIDTH = 400_000, 16
BATCH, EPOCHS, RATE, DROPOUT = 1024, 20, 0.01, 0.1
EVERY = 2.0
"""Seconds between checkpoints: fifteen times as often as by default."""
ROUNDS = 3
RATIO = 1.0
DATA = "data.npz"


def run(rows: int = ROWS) -> list[Result]:
    found: dict[str, float] = {"factory": 0, "plain": 0}
    with tempfile.TemporaryDirectory() as name:
        _write(Path(name), rows)
        for _ in range(ROUNDS):
            # They take turns, so that a busy moment falls on both.
            for side, before in found.items():
                command = [sys.executable, "-m", "benchmarks.throughput", side, name]
                found[side] = max(before, float(measure(command, {}).output.split()[-1]))
    ratio = found["factory"] / found["plain"]
    return [
        Result(
            f"training an MLP 64-64, {rows:,} rows",
            f"{ratio:.2f}x ({found['factory']:,.0f} / {found['plain']:,.0f} rows per CPU s)",
            f">= {RATIO:g}x a plain loop",
            ratio >= RATIO,
        )
    ]


def factory(folder: Path) -> int:
    """Rows that the factory learns from in a second of CPU."""
    import lightning.pytorch  # noqa: F401 - what importing takes is not measured

    from factory_assets.ml.features.arrays import Arrays, LabelledArrays
    from factory_assets.ml.models.kinds import fit_model
    from factory_resources.home.home import Home
    from factory_resources.metering.meter import Meter, Rates
    from factory_resources.tracking.registry import Registry
    from factory_resources.tracking.run import open_run

    numbers, codes, target, rows = _read(folder)
    train, held = (
        LabelledArrays(Arrays(numbers[part], codes[part]), target[part])
        for part in (slice(rows), slice(rows, None))
    )
    with tempfile.TemporaryDirectory(dir=folder) as name:
        registry, said = Registry(Home(Path(name))), list[str]()
        registry.initialise()
        began = time.process_time()
        with Meter(Rates()) as meter, open_run(registry, "benchmark", "mlp", {}, started=0) as kept:
            fit = fit_model(_setting(Path(name), said.append), train, held)
            kept.log_metrics([(e.epoch, {"loss": e.validation_loss}) for e in fit.history])
            meter.read()
        return int(rows * len(fit.history) / (time.process_time() - began))


def plain(folder: Path) -> int:
    """Rows that a loop by hand learns from in a second of CPU."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(0)
    every, _, classes, rows = _read(folder)
    numbers, target = torch.from_numpy(every[:rows]), torch.from_numpy(classes[:rows])
    model = nn.Sequential(
        *(nn.Linear(WIDTH, 64), nn.GELU(), nn.Dropout(DROPOUT)),
        *(nn.Linear(64, 64), nn.GELU(), nn.Dropout(DROPOUT)),
        nn.Linear(64, 2),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    began = time.process_time()
    for _ in range(EPOCHS):
        order = torch.randperm(rows)
        first, second = numbers[order], target[order]
        for start in range(0, rows, BATCH):
            part = slice(start, start + BATCH)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(first[part]), second[part]).backward()
            optimizer.step()
    return int(rows * EPOCHS / (time.process_time() - began))


def _setting(folder: Path, progress: Any) -> "FitContext":
    from factory_assets.ml.models.base import FitContext, Shape
    from factory_assets.spec.models import Mlp
    from factory_assets.spec.train import Checkpoint, Trainer

    sizes: Any = {"hidden": (64, 64), "dropout": DROPOUT, "batch_size": BATCH}
    return FitContext(
        spec=Mlp(kind="mlp", epochs=EPOCHS, patience=10, learning_rate=RATE, **sizes),
        shape=Shape("binary", WIDTH, (), 2),
        seed=0,
        class_weights=None,
        folder=folder,
        scratch=folder,
        progress=progress,
        checkpoints=folder / "checkpoints",
        trainer=Trainer(checkpoint=Checkpoint(seconds=EVERY)),
    )


def _write(folder: Path, rows: int) -> None:
    """Numbers and the class that they tell, mostly; a tenth more rows to validate with."""
    import numpy as np

    chance = np.random.default_rng(0)
    numbers = chance.standard_normal((rows + rows // 10, WIDTH), dtype=np.float32)
    score = numbers[:, 0] * numbers[:, 1] + numbers[:, 2:] @ chance.standard_normal(WIDTH - 2)
    target = (score + chance.standard_normal(len(score)) > 0).astype(np.int64)
    np.savez(folder / DATA, numbers=numbers, target=target, rows=rows)


def _read(folder: Path) -> tuple[Any, Any, Any, int]:
    import numpy as np

    with np.load(folder / DATA) as data:
        codes = np.empty((len(data["target"]), 0), dtype=np.int64)
        return data["numbers"], codes, data["target"], int(data["rows"])


if __name__ == "__main__":
    sided((factory, plain), run, ROWS)
