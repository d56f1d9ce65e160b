"""Checkpoints of a network's training, from which it resumes after a crash.

A resumed training ends with the same weights, bit for bit. Restoring the best epoch from a
checkpoint belongs in `trainer.py`.

This module imports torch and Lightning, so import it only inside functions.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from factory_assets.ml.models.networks.lightning.batches import ShuffledSlices
from factory_assets.spec.train import Checkpoint
from factory_resources.file_digest import file_sha256
from factory_resources.home.home import storage_errors
from factory_resources.progress import Progress

DONE = "factory_done"

RANDOM = "factory_random"

PLACE = "factory_place"

SUFFIX = ".ckpt"


class Checkpoints(pl.Callback):
    """Saves the whole state after an epoch or within one, to one file named by its SHA-256 digest.

    Lightning saves weights, optimiser, schedule, loops and the state of the other callbacks; this
    adds the position in the rows and the random states. It must be the last callback.
    """

    def __init__(
        self, folder: Path, frequency: Checkpoint, rows: ShuffledSlices, *, save_end: bool
    ) -> None:
        """
        Args:
            save_end: whether to save the end too, because this training is followed by more.
        """
        self._folder, self._frequency, self._rows = folder, frequency, rows
        self._save_end = save_end
        self._last, self._epochs, self._done = time.monotonic(), 0, False
        self._random: dict[str, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self._random:
            _restore_random_states(self._random)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        # Not after the last batch of an epoch: the epoch is saved after its validation.
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch and self._is_due(trainer):
            self._save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._epochs += 1
        every = self._frequency.epochs
        if (every is not None and self._epochs >= every) or self._is_due(trainer):
            self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self._save_end:
            self._done = True
            self._save(trainer)

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

    def _is_due(self, trainer: pl.Trainer) -> bool:
        due = time.monotonic() - self._last >= self._frequency.seconds
        # Each process has its own clock, but either all must save or none.
        return trainer.strategy.broadcast(due) if trainer.world_size > 1 else due

    def _save(self, trainer: pl.Trainer) -> None:
        new = self._folder / "new"
        with storage_errors(self._folder):
            trainer.save_checkpoint(new)
            if trainer.is_global_zero:
                _publish(new)
        self._last, self._epochs = time.monotonic(), 0


def newest_checkpoint(folder: Path, progress: Progress) -> Path | None:
    """Return the newest checkpoint whose content matches its digest, if there is one."""
    checkpoints = sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)
    for path in reversed(checkpoints):
        if file_sha256(path) == path.stem:
            return path
        progress(f"the checkpoint {path.name} is damaged and is ignored")
    return None


def _publish(new: Path) -> None:
    """Replace the older checkpoints by a newly written one, safely even if the power fails."""
    with new.open("rb") as file:
        os.fsync(file.fileno())
    older = [*new.parent.glob(f"*{SUFFIX}")]
    path = new.with_name(f"{file_sha256(new)}{SUFFIX}")
    os.replace(new, path)
    for other in older:
        if other != path:
            other.unlink()


def _random_states() -> dict[str, Any]:
    states: dict[str, Any] = {"torch": torch.get_rng_state(), "python": random.getstate()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def _restore_random_states(states: dict[str, Any]) -> None:
    torch.set_rng_state(states["torch"])
    random.setstate(states["python"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])
