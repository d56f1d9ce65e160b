"""One training of a network, by Lightning. Imports it and torch, hence only inside functions.

When memory is short. Imports torch, hence is imported only inside functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import cast

import torch
from lightning.pytorch import Callback, Trainer

from factory_assets.ml.models.base import FitContext, TrialPruned
from factory_assets.ml.models.networks.lightning.batches import BLOCK, Batch, Shuffled, Slices
from factory_assets.ml.models.networks.lightning.callbacks import BestEpochCallback, at_budget
from factory_assets.ml.models.networks.lightning.checkpoint import DONE, Checkpoints, kept
from factory_assets.ml.models.networks.lightning.module import NetworkModule, TrainingPlan
from factory_assets.spec.models import Network, OwnModule
from factory_resources.errors import ModelError

STEPS = 8
"""The fewest optimiser steps of an epoch."""

PLAIN = "32-true"

MANY = 65_536
"""Rows that are evaluated at once."""

LIGHT = 50_000_000
"""Multiplications in a step up to which one thread is as quick: others would only wait for work,
and on a busy machine waiting costs ten times the work."""


def learn(
    module: NetworkModule,
    setting: FitContext,
    train: Batch,
    validation: Batch,
    *,
    window: int = 1,
    steps: int = STEPS,
) -> BestEpochCallback:
    """Train a module; what comes back holds the weights of its best epoch, and all losses.

    Args:
        window: how many rows of the data one row of a batch stands for.
        steps: an epoch has at least so many: few rows make smaller batches than declared.

    Raises:
        ModelError: when the loss is not a number, or a user's own module fails.
    """
    spec = cast(Network, setting.spec)
    module.plan = plan = _plan(spec, setting, ceil(len(train[2]) / steps), rows=len(train[2]))
    if module.learns_in_blocks() and setting.ranks == 1 and setting.trainer.precision == PLAIN:
        module.automatic_optimization = False
    block = plan.batch_size * (1 if module.automatic_optimization else BLOCK)
    best = BestEpochCallback(spec.patience, setting.progress, setting.watch)
    path = _kept(best, setting)
    if best.done:
        return best
    many = plan.batch_size if setting.halved else max(1, MANY // window)
    slices, held = _slices(setting, train, validation, block, many)
    callbacks: list[Callback] = [best, *at_budget(setting)]
    if setting.checkpoints:
        often, more = setting.trainer.checkpoint, spec.ensemble > 1
        callbacks += [Checkpoints(setting.checkpoints, often, slices, keep_end=more)]
    if setting.rank:
        # The same weights from the same seed; but each leaves out something else.
        torch.manual_seed(setting.seed + setting.rank)
    work = plan.batch_size * window * sum(p.numel() for p in module.parameters())
    with user_errors(spec), _threads(1 if work <= LIGHT else torch.get_num_threads()):
        trainer = _trainer(spec.epochs, setting, callbacks)
        trainer.fit(module, slices, held, ckpt_path=path, weights_only=True)
    return best


def _trainer(epochs: int, setting: FitContext, callbacks: list[Callback]) -> Trainer:
    declared = setting.trainer
    devices = declared.devices
    return Trainer(
        max_epochs=epochs,
        accelerator=declared.accelerator,
        devices=[*devices] if isinstance(devices, tuple) else devices,
        strategy="ddp" if setting.ranks > 1 and declared.strategy == "auto" else declared.strategy,
        precision=declared.precision,
        num_nodes=declared.nodes,
        logger=False,
        callbacks=callbacks,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=setting.scratch,
        deterministic=True,
    )


def _slices(
    setting: FitContext, train: Batch, validation: Batch, block: int, many: int
) -> tuple[Shuffled, Slices]:
    """The rows to learn from in blocks, and those that say when to stop."""
    if setting.mapped is None:
        rows = Shuffled(train, block, setting.seed, setting.rank, setting.ranks)
        return rows, Slices(validation, many)
    from factory_assets.ml.models.networks.lightning.batches import Passing, Streamed

    streamed = Streamed(train, block, setting.seed, setting.mapped)
    return streamed, Passing(validation, many, setting.mapped)


def _kept(best: BestEpochCallback, setting: FitContext) -> Path | None:
    """The checkpoint to go on from, of which the best epoch so far is told already."""
    path = kept(setting.checkpoints, setting.progress) if setting.checkpoints else None
    if path is None:
        return None
    state = torch.load(path, map_location="cpu", weights_only=True)
    best.load_state_dict(state["callbacks"][best.state_key])
    best.done = state[DONE]
    for epoch in best.history:
        if setting.watch:
            setting.watch(epoch)
    now = "is done" if best.done else f"goes on in epoch {len(best.history) + 1}"
    setting.progress(f"{now}, from its checkpoint")
    return path


def _plan(spec: Network, setting: FitContext, largest: int, rows: int) -> TrainingPlan:
    # Of each batch, every process takes its share.
    rows = ceil(rows / setting.ranks)
    parts = setting.ranks * (2 if setting.halved else 1)
    batch_size = max(1, min(spec.batch_size, largest) // parts)
    weights = setting.class_weights
    return TrainingPlan(
        task=setting.shape.task,
        spec=spec,
        batch_size=batch_size,
        steps=spec.epochs * ceil(rows / batch_size),
        class_weights=None if weights is None else torch.from_numpy(weights).float(),
    )


@contextmanager
def user_errors(spec: Network) -> Iterator[None]:
    """Whatever a user's module raises is a mistake in it; what ours raises is a fault of ours; but
    for memory, of which a machine has too little for either."""
    try:
        yield
    except (ModelError, TrialPruned):
        raise
    except Exception as error:
        require_memory(error)
        if not isinstance(spec, OwnModule):
            raise
        raise ModelError(
            f"{spec.python} failed: {type(error).__name__}: {error}",
            remedy="correct the module; it is built with (numeric, categories, outputs, **args) "
            "and called with (numbers, codes)",
        ) from error


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


SIGNS = ("DefaultCPUAllocator", "not enough memory", "MPS backend out of memory")
"""What torch says of it where it has no class of its own for that."""


class OutOfMemoryError(ModelError):
    """A training that needs more memory than there is."""


def require_memory(error: Exception) -> None:
    """Raise `OutOfMemoryError` if that is what an error is about.

    Raises:
        OutOfMemoryError: so it is.
    """
    of_class = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if not of_class and not any(sign in str(error) for sign in SIGNS):
        return
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    raise OutOfMemoryError(
        "memory is too short to train with such batches",
        remedy="lower train.model.batch_size, or the size of the network",
    ) from error
