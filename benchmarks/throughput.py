"""Train networks, compared with a plain PyTorch loop, in rows per CPU second.

    python -m benchmarks.throughput [ROWS ...]

An MLP 64-64 with dropout, batches of 1,024; on a twentieth of the rows, a TabM 64-64 of 16 members
with embedded numbers, whose plain form is in `plain_tabm`; and, on 256 pictures, a CNN 16-32-64 in
batches of 64, whose first layers have 64 MiB each. The factory trains with checkpoints, metering,
early stopping and logging in MLflow; the plain loop is only Adam over slices of shuffled tensors,
also on one thread. Each side is a process of its own and is measured after its imports.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from benchmarks.measure import Result, measure, run_sides

if TYPE_CHECKING:
    from torch import nn

    from factory_assets.ml.models.base import FitContext

Kind = Literal["mlp", "tabm", "cnn"]

ROWS, WIDTH = 400_000, 16
PICTURES, SIDE = 256, 128
EPOCHS, RATE, DROPOUT = 20, 0.01, 0.1
BATCH: dict[Kind, int] = {"mlp": 1024, "tabm": 1024, "cnn": 64}
EVERY = 2.0
"""Seconds between checkpoints: fifteen times as often as by default."""
ROUNDS = 3
RATIO = 1.0
DATA = "data.npz"


NAMES: dict[Kind, str] = {
    "mlp": "an MLP 64-64",
    "tabm": "a TabM 64-64",
    "cnn": f"a CNN over pictures of {SIDE} x {SIDE}",
}


def run(rows: int = ROWS) -> list[Result]:
    pictures = min(PICTURES, rows // 20)
    return [_compare("mlp", rows), _compare("tabm", rows // 20), _compare("cnn", pictures)]


def _compare(kind: Kind, rows: int) -> Result:
    rates: dict[str, float] = {"factory": 0, "plain": 0}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / kind
        folder.mkdir()
        _write(folder, rows, SIDE**2 if kind == "cnn" else WIDTH)
        for _ in range(ROUNDS):
            # They alternate, so that other load hits both.
            for side, best in rates.items():
                command = [sys.executable, "-m", "benchmarks.throughput", side, str(folder)]
                rates[side] = max(best, float(measure(command, {}).output.split()[-1]))
    ratio = rates["factory"] / rates["plain"]
    return Result(
        f"training {NAMES[kind]}, {rows:,} rows",
        f"{ratio:.2f}x ({rates['factory']:,.0f} / {rates['plain']:,.0f} rows per CPU s)",
        f">= {RATIO:g}x a plain loop",
        ratio >= RATIO,
    )


def factory(folder: Path) -> int:
    """Return the rows that the factory trains on per CPU second; the folder names the kind."""
    import lightning.pytorch  # noqa: F401 - the import is not measured

    from factory_assets.ml.features.arrays import Arrays, LabelledArrays
    from factory_assets.ml.models.kinds import fit_model
    from factory_resources.home.home import Home
    from factory_resources.metering.meter import Meter, Rates
    from factory_resources.tracking.registry import Registry
    from factory_resources.tracking.run import open_run

    kind = cast(Kind, folder.name)
    numbers, codes, target, rows = _read(folder)
    train, validation = (
        LabelledArrays(Arrays(numbers[part], codes[part]), target[part])
        for part in (slice(rows), slice(rows, None))
    )
    with tempfile.TemporaryDirectory(dir=folder) as name:
        registry, lines = Registry(Home(Path(name))), list[str]()
        registry.initialise()
        started_at = time.process_time()
        with (
            Meter(Rates()) as meter,
            open_run(registry, "benchmark", kind, {}, started=0) as tracked,
        ):
            fit = fit_model(_context(kind, Path(name), lines.append), train, validation)
            tracked.log_metrics([(e.epoch, {"loss": e.validation_loss}) for e in fit.history])
            meter.read()
        return int(rows * len(fit.history) / (time.process_time() - started_at))


def plain(folder: Path) -> int:
    """Return the rows that a plain loop trains on per CPU second; the folder names the kind."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(0)
    kind = cast(Kind, folder.name)
    every, _, classes, rows = _read(folder)
    numbers, target = torch.from_numpy(every[:rows]), torch.from_numpy(classes[:rows])
    model, batch = _plain_network(kind, numbers), BATCH[kind]
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    started_at = time.process_time()
    for _ in range(EPOCHS):
        order = torch.randperm(rows)
        first, second = numbers[order], target[order]
        for start in range(0, rows, batch):
            part = slice(start, start + batch)
            optimizer.zero_grad()
            outputs, truth = model(first[part]), second[part]
            if kind == "tabm":
                outputs, truth = outputs.flatten(0, 1), truth.repeat_interleave(outputs.shape[1])
            nn.functional.cross_entropy(outputs, truth).backward()
            optimizer.step()
    return int(rows * EPOCHS / (time.process_time() - started_at))


def _plain_network(kind: Kind, numbers: Any) -> "nn.Module":
    from torch import nn

    if kind == "tabm":
        from benchmarks.plain_tabm import PlainTabm

        return PlainTabm(numbers, **_TABM, outputs=2, dropout=DROPOUT)
    if kind == "cnn":
        return nn.Sequential(
            nn.Unflatten(1, (1, SIDE, SIDE)),
            *_convolution(1, 16),
            *_convolution(16, 32),
            *_convolution(32, 64),
            nn.AdaptiveAvgPool2d(1),
            *(nn.Flatten(), nn.Dropout(DROPOUT), nn.Linear(64, 2)),
        )
    return nn.Sequential(
        *(nn.Linear(WIDTH, 64), nn.GELU(), nn.Dropout(DROPOUT)),
        *(nn.Linear(64, 64), nn.GELU(), nn.Dropout(DROPOUT)),
        nn.Linear(64, 2),
    )


def _convolution(before: int, units: int) -> "tuple[nn.Module, ...]":
    from torch import nn

    convolution = nn.Conv2d(before, units, 3, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(units), nn.GELU(), nn.MaxPool2d(2)


_TABM: dict[str, Any] = {"hidden": (64, 64), "members": 16, "bins": 16, "embedding": 4}


def _context(kind: Kind, folder: Path, progress: Any) -> "FitContext":
    from factory_assets.ml.models.base import FitContext, Shape
    from factory_assets.spec.models import Cnn, Mlp, Tabm
    from factory_assets.spec.train import Checkpoint, Trainer

    plan: Any = {"epochs": EPOCHS, "patience": EPOCHS, "batch_size": BATCH[kind]}
    plan |= {"dropout": DROPOUT, "learning_rate": RATE}
    specs: dict[Kind, Mlp | Tabm | Cnn] = {
        "mlp": Mlp(kind="mlp", hidden=(64, 64), **plan),
        "tabm": Tabm(kind="tabm", **_TABM, **plan),
        "cnn": Cnn(kind="cnn", image="pixels", hidden=(16, 32, 64), **plan),
    }
    table = Shape("binary", WIDTH, (), 2)
    pictures = Shape("binary", SIDE**2, (), 2, picture=(SIDE, SIDE, 1))
    return FitContext(
        spec=specs[kind],
        shape=pictures if kind == "cnn" else table,
        seed=0,
        class_weights=None,
        folder=folder,
        scratch=folder,
        progress=progress,
        checkpoints=folder / "checkpoints",
        trainer=Trainer(checkpoint=Checkpoint(seconds=EVERY)),
    )


def _write(folder: Path, rows: int, width: int) -> None:
    """Write numbers and a class that mostly follows from them; plus 10 % validation rows."""
    import numpy as np

    random = np.random.default_rng(0)
    numbers = random.standard_normal((rows + rows // 10, width), dtype=np.float32)
    score = numbers[:, 0] * numbers[:, 1] + numbers[:, 2:] @ random.standard_normal(width - 2)
    target = (score + random.standard_normal(len(score)) > 0).astype(np.int64)
    np.savez(folder / DATA, numbers=numbers, target=target, rows=rows)


def _read(folder: Path) -> tuple[Any, Any, Any, int]:
    import numpy as np

    with np.load(folder / DATA) as data:
        codes = np.empty((len(data["target"]), 0), dtype=np.int64)
        return data["numbers"], codes, data["target"], int(data["rows"])


if __name__ == "__main__":
    run_sides((factory, plain), run, ROWS)
