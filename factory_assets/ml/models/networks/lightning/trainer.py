"""Train one network with Lightning, and recognise when memory is too small for it.

The training step belongs in `module.py`, several processes in `distributed.py`. This module imports
torch and Lightning, so import it only inside functions.
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
from factory_assets.ml.models.networks.lightning.batches import (
    BLOCK,
    Batch,
    ShuffledSlices,
    Slices,
    evaluated_at_once,
)
from factory_assets.ml.models.networks.lightning.callbacks import (
    BestEpochCallback,
    budget_callbacks,
)
from factory_assets.ml.models.networks.lightning.checkpoint import (
    DONE,
    Checkpoints,
    newest_checkpoint,
)
from factory_assets.ml.models.networks.lightning.memory import reused_memory
from factory_assets.ml.models.networks.lightning.module import NetworkModule, TrainingPlan
from factory_assets.spec.models import Network, OwnModule
from factory_resources.errors import ModelError

MIN_STEPS_PER_EPOCH = 8
"""The fewest optimiser steps of an epoch."""

FULL_PRECISION = "32-true"

SINGLE_THREAD_LIMIT = 50_000_000
"""Multiplications in a step up to which one thread is as fast as several: more threads would only
wait, and on a busy machine waiting costs ten times the work."""


def train_network(
    module: NetworkModule,
    context: FitContext,
    train: Batch,
    validation: Batch,
    *,
    window: int = 1,
    steps: int = MIN_STEPS_PER_EPOCH,
) -> BestEpochCallback:
    """Train a module; the returned callback has the weights of the best epoch and all losses.

    Args:
        window: how many rows of the data one row of a batch reads.
        steps: the fewest steps of an epoch; few rows make batches smaller than declared.

    Raises:
        ModelError: the loss becomes NaN or infinite, or a user's own module fails.
    """
    spec = cast(Network, context.spec)
    module.plan = plan = _plan(spec, context, ceil(len(train[2]) / steps), rows=len(train[2]))
    if (
        module.learns_in_blocks()
        and context.ranks == 1
        and context.trainer.precision == FULL_PRECISION
    ):
        module.automatic_optimization = False
    module.fit_inputs(train)
    if context.mapped:
        context.mapped.release()
    block = plan.batch_size * (1 if module.automatic_optimization else BLOCK)
    best = BestEpochCallback(spec.patience, context.progress, context.watch, rounds=context.rounds)
    path = _restored(best, context)
    if best.done:
        return best
    at_once = evaluated_at_once(module.values_per_row)
    validation_size = plan.batch_size if context.halved else max(1, at_once // window)
    slices, validation_slices = _slices(context, train, validation, block, validation_size)
    callbacks: list[Callback] = [best, *budget_callbacks(context)]
    if context.checkpoints:
        frequency, more = context.trainer.checkpoint, spec.ensemble > 1 or context.followed
        callbacks += [Checkpoints(context.checkpoints, frequency, slices, save_end=more)]
    if context.rank:
        # The weights come from the same seed in all processes; dropout must differ between them.
        torch.manual_seed(context.seed + context.rank)
    work = plan.batch_size * window * sum(p.numel() for p in module.parameters())
    threads = 1 if work <= SINGLE_THREAD_LIMIT else torch.get_num_threads()
    with user_errors(spec), _threads(threads), reused_memory():
        trainer = _trainer(spec.epochs, context, callbacks)
        trainer.fit(module, slices, validation_slices, ckpt_path=path, weights_only=True)
    return best


def _trainer(epochs: int, context: FitContext, callbacks: list[Callback]) -> Trainer:
    declared = context.trainer
    devices = declared.devices
    return Trainer(
        max_epochs=epochs,
        accelerator=declared.accelerator,
        devices=[*devices] if isinstance(devices, tuple) else devices,
        strategy="ddp" if context.ranks > 1 and declared.strategy == "auto" else declared.strategy,
        precision=declared.precision,
        num_nodes=declared.nodes,
        logger=False,
        callbacks=callbacks,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=context.scratch,
        deterministic=True,
    )


def _slices(
    context: FitContext, train: Batch, validation: Batch, block: int, validation_size: int
) -> tuple[ShuffledSlices, Slices]:
    """Return slices of `block` training rows and slices of `validation_size` validation rows."""
    if context.mapped is None:
        rows = ShuffledSlices(train, block, context.seed, context.rank, context.ranks)
        return rows, Slices(validation, validation_size)
    from factory_assets.ml.models.networks.lightning.batches import (
        MappedSlices,
        ShuffledMappedSlices,
    )

    streamed = ShuffledMappedSlices(train, block, context.seed, context.mapped)
    return streamed, MappedSlices(validation, validation_size, context.mapped)


def _restored(best: BestEpochCallback, context: FitContext) -> Path | None:
    """Return the checkpoint to resume from, if any; restore `best` and report its epochs."""
    path = newest_checkpoint(context.checkpoints, context.progress) if context.checkpoints else None
    if path is None:
        return None
    state = torch.load(path, map_location="cpu", weights_only=True)
    best.load_state_dict(state["callbacks"][best.state_key])
    best.done = state[DONE]
    for epoch in best.history:
        if context.watch:
            context.watch(epoch)
    now = "is complete" if best.done else f"resumes in epoch {len(best.history) + 1}"
    context.progress(f"{now}, from its checkpoint")
    return path


def _plan(spec: Network, context: FitContext, largest: int, rows: int) -> TrainingPlan:
    # Every process trains on its share of each batch.
    rows = ceil(rows / context.ranks)
    parts = context.ranks * (2 if context.halved else 1)
    batch_size = max(1, min(spec.batch_size, largest) // parts)
    weights = context.class_weights
    return TrainingPlan(
        task=context.shape.task,
        spec=spec,
        batch_size=batch_size,
        steps=spec.epochs * ceil(rows / batch_size),
        class_weights=None if weights is None else torch.from_numpy(weights).float(),
    )


@contextmanager
def user_errors(spec: Network) -> Iterator[None]:
    """Turn exceptions of a user's module into a `ModelError`.

    Lack of memory becomes an `OutOfMemoryError` for every module. Other exceptions of the factory's
    own modules are bugs and pass through.
    """
    try:
        yield
    except (ModelError, TrialPruned):
        raise
    except Exception as error:
        raise_if_out_of_memory(error)
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


OUT_OF_MEMORY_TEXTS = ("DefaultCPUAllocator", "not enough memory", "MPS backend out of memory")
"""Texts by which torch reports lack of memory if it does not raise an exception class for it."""


class OutOfMemoryError(ModelError):
    """A training needs more memory than the machine has."""


def raise_if_out_of_memory(error: Exception) -> None:
    """Raise `OutOfMemoryError` if `error` reports lack of memory; otherwise do nothing.

    Raises:
        OutOfMemoryError: lack of memory caused the error.
    """
    by_type = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if not by_type and not any(sign in str(error) for sign in OUT_OF_MEMORY_TEXTS):
        return
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    raise OutOfMemoryError(
        "memory is too small to train with batches of this size",
        remedy="lower train.model.batch_size, or the size of the network",
    ) from error
