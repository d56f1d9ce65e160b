"""Networks, trained by Lightning: the factory's own for tables, or a user's LightningModule."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from factory_assets.spec.train import Mlp, ModelSpec, OwnModule
from factory_assets.stages.features import Arrays
from factory_assets.stages.models.base import Fit, Model, Rows, Setting, Shape
from factory_assets.stages.reference import load_object
from factory_resources.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from factory_assets.stages.models.learning import Batch, KeepBest, Learning, Plan

FILE = "weights.safetensors"
STEPS = 8
"""An epoch has at least so many optimiser steps: few rows make smaller batches than declared."""
MANY = 65_536
"""Rows that are evaluated at once."""
LIGHT = 50_000_000
"""Multiplications in a step up to which one thread is as quick: others would only wait for work,
and on a busy machine waiting costs ten times the work."""


class NetworkModel(Model):
    """A LightningModule over scaled numbers and category codes, kept as its weights."""

    scaled: ClassVar[bool] = True
    vocabulary: ClassVar[int] = 200

    def __init__(self, shape: Shape, module: Learning) -> None:
        self._shape, self._module = shape, module.eval()

    @classmethod
    def fit(cls, setting: Setting, train: Rows, validation: Rows) -> Fit:
        import torch

        with torch.random.fork_rng(), _quiet():
            torch.manual_seed(setting.seed)
            module = _build(cast(Mlp | OwnModule, setting.spec), setting.shape, setting.folder)
            best = _learn(module, setting, _tensors(train), _tensors(validation))
        module.load_state_dict(best.weights)
        return Fit(cls(setting.shape, module), tuple(best.history), best.best_epoch)

    def outputs(self, inputs: Arrays) -> NDArray[np.float64]:
        import torch

        from factory_assets.stages.models.learning import sliced

        arrays = torch.from_numpy(inputs.numbers), torch.from_numpy(inputs.codes)
        with torch.inference_mode():
            parts = [self._module(*part) for part in sliced(arrays, MANY)]
            raw = torch.cat(parts) if parts else torch.empty((0, self._shape.outputs))
            ready = (
                raw.reshape(-1) if self._shape.task == "regression" else raw.double().softmax(dim=1)
            )
        found: NDArray[np.float64] = ready.double().numpy()
        return found

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        weights = {name: w.contiguous().clone() for name, w in self._module.state_dict().items()}
        save_file(weights, folder / FILE)

    @classmethod
    def load(cls, spec: ModelSpec, shape: Shape, files: Path, folder: Path) -> Self:
        from safetensors.torch import load_file

        module = _build(cast(Mlp | OwnModule, spec), shape, folder)
        try:
            module.load_state_dict(load_file(files / FILE))
        except RuntimeError as error:
            raise ModelError(
                f"{FILE} does not fit the network: {error}", remedy="train it again"
            ) from error
        return cls(shape, module)

    def graph(self) -> onnx.ModelProto:
        from factory_assets.stages.models.network_graph import export_network

        return export_network(self._module, self._shape)

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self._module.parameters())


def _build(spec: Mlp | OwnModule, shape: Shape, folder: Path) -> Learning:
    from factory_assets.stages.models.mlp import MlpModule

    wanted = (shape.numbers, shape.cardinalities, shape.outputs)
    if isinstance(spec, Mlp):
        return MlpModule(*wanted, hidden=spec.hidden, dropout=spec.dropout)
    own = _own_class(spec, folder)
    with _user_errors(spec):
        built: Learning = own(*wanted, **spec.args)
    return built


def _own_class(spec: OwnModule, folder: Path) -> type[Learning]:
    """The user's class with our training beneath it: what it does not do itself, ours does."""
    import lightning.pytorch as pl

    from factory_assets.stages.models.learning import Learning

    own = load_object(spec.python, folder)
    if not (isinstance(own, type) and issubclass(own, pl.LightningModule)):
        raise ModelError(
            f"{spec.python} is no LightningModule",
            where=str(folder),
            remedy="name a subclass of lightning.pytorch.LightningModule",
        )
    return type(own.__name__, (own, Learning), {})


def _learn(module: Learning, setting: Setting, train: Batch, validation: Batch) -> KeepBest:
    import torch
    from lightning.pytorch import Trainer

    from factory_assets.stages.models.learning import BLOCK, KeepBest, Slices

    spec = cast(Mlp | OwnModule, setting.spec)
    module.plan = plan = _plan(spec, setting, rows=len(train[2]))
    if module.learns_in_blocks():
        module.automatic_optimization = False
    block = plan.batch_size * (1 if module.automatic_optimization else BLOCK)
    best = KeepBest(spec.patience, setting.progress)
    trainer = Trainer(
        max_epochs=spec.epochs,
        devices=1,
        logger=False,
        callbacks=[best],
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=setting.scratch,
        deterministic=True,
    )
    slices = Slices(train, block, torch.Generator().manual_seed(setting.seed))
    light = plan.batch_size * sum(p.numel() for p in module.parameters()) <= LIGHT
    with _user_errors(spec), _threads(1 if light else torch.get_num_threads()):
        trainer.fit(module, slices, Slices(validation, MANY, None))
    return best


def _plan(spec: Mlp | OwnModule, setting: Setting, rows: int) -> Plan:
    import torch

    from factory_assets.stages.models.learning import Plan

    batch_size = max(1, min(spec.batch_size, ceil(rows / STEPS)))
    weights = setting.class_weights
    return Plan(
        task=setting.shape.task,
        spec=spec,
        batch_size=batch_size,
        steps=spec.epochs * ceil(rows / batch_size),
        class_weights=None if weights is None else torch.from_numpy(weights).float(),
    )


def _tensors(rows: Rows) -> Batch:
    import torch

    inputs = rows.inputs
    return (
        torch.from_numpy(inputs.numbers),
        torch.from_numpy(inputs.codes),
        torch.from_numpy(rows.target),
    )


@contextmanager
def _user_errors(spec: Mlp | OwnModule) -> Iterator[None]:
    """Whatever a user's module raises is a mistake in it; what ours raises is a fault of ours."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        if isinstance(spec, Mlp):
            raise
        raise ModelError(
            f"{spec.python} failed: {type(error).__name__}: {error}",
            remedy="correct the module; it is built with (numeric, categories, outputs, **args) "
            "and called with (numbers, codes)",
        ) from error


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """No chatter of Lightning, and torch's determinism as it was before."""
    import logging
    import warnings

    import lightning.pytorch  # noqa: F401, its loggers get their levels when it is imported
    import torch

    loggers: list[Any] = [logging.getLogger(f"lightning.{n}") for n in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    deterministic = torch.are_deterministic_algorithms_enabled()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
