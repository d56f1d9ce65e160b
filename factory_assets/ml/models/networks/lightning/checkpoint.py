"""The state of a network's training, kept now and then, so that after a crash it goes on from there
and ends with the same weights to the bit.

Imports torch and Lightning, hence is itself imported only inside functions.
"""

from __future__ import annotations

import os
import random
import time
from hashlib import file_digest
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from factory_assets.ml.models.base import Progress
from factory_assets.ml.models.networks.lightning.batches import Shuffled
from factory_assets.spec.train import Checkpoint
from factory_resources.home.home import storage_errors

DONE = "factory_done"

RANDOM = "factory_random"

PLACE = "factory_place"

SUFFIX = ".ckpt"


class Checkpoints(pl.Callback):
    """Keeps the whole state in one file, named by its digest: after an epoch or amid one.

    Lightning keeps weights, optimiser, schedule, loops and what the other callbacks remember; the
    place in the rows and the random numbers are added here. To be the last callback.
    """

    def __init__(self, folder: Path, often: Checkpoint, rows: Shuffled, *, keep_end: bool) -> None:
        """
        Args:
            keep_end: whether the end is kept too, because more networks are trained after this one.
        """
        self._folder, self._often, self._rows, self._keep_end = folder, often, rows, keep_end
        self._last, self._epochs, self._done = time.monotonic(), 0, False
        self._random: dict[str, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self._random:
            _put_back(self._random)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        # After the last batch of an epoch the validation comes first.
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch and self._is_time(trainer):
            self._keep(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._epochs += 1
        enough = self._often.epochs is not None and self._epochs >= self._often.epochs
        if enough or self._is_time(trainer):
            self._keep(trainer)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self._keep_end:
            self._done = True
            self._keep(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        states = [_random_states()] * trainer.world_size
        if trainer.world_size > 1:
            torch.distributed.all_gather_object(states, states[0])
        checkpoint |= {DONE: self._done, RANDOM: states, PLACE: self._rows.place}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._random = checkpoint[RANDOM][trainer.global_rank]
        self._rows.go_to(checkpoint[PLACE])

    def _is_time(self, trainer: pl.Trainer) -> bool:
        late = time.monotonic() - self._last >= self._often.seconds
        # Of several processes each has its own clock, and all must keep or none.
        return trainer.strategy.broadcast(late) if trainer.world_size > 1 else late

    def _keep(self, trainer: pl.Trainer) -> None:
        new = self._folder / "new"
        with storage_errors(self._folder):
            trainer.save_checkpoint(new)
            if trainer.is_global_zero:
                _name(new)
        self._last, self._epochs = time.monotonic(), 0


def kept(folder: Path, progress: Progress) -> Path | None:
    """The newest checkpoint that is as it was written, where there is one."""
    found = sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)
    for path in reversed(found):
        if _digest(path) == path.stem:
            return path
        progress(f"the checkpoint {path.name} cannot be read, and is left")
    return None


def _name(new: Path) -> None:
    """Put a written state in the place of the older ones, also in a power cut."""
    with new.open("rb") as file:
        os.fsync(file.fileno())
    older = [*new.parent.glob(f"*{SUFFIX}")]
    path = new.with_name(f"{_digest(new)}{SUFFIX}")
    os.replace(new, path)
    for other in older:
        if other != path:
            other.unlink()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _random_states() -> dict[str, Any]:
    states: dict[str, Any] = {"torch": torch.get_rng_state(), "python": random.getstate()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def _put_back(states: dict[str, Any]) -> None:
    torch.set_rng_state(states["torch"])
    random.setstate(states["python"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])
