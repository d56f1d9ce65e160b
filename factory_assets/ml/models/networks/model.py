"""Networks, trained by Lightning: the factory's own for tables, or a user's LightningModule.

A small convolutional network over pictures, beside which other columns may stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self, cast

from factory_assets.ml.features.arrays import Arrays, LabelledArrays
from factory_assets.ml.models.base import APART, Fit, FitContext, Model, Progress, Shape
from factory_assets.spec.models import Cnn, Mlp, Network, OwnModule
from factory_assets.spec.train import ModelSpec
from factory_resources.errors import ModelError
from factory_resources.user_code import load_object

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from factory_assets.ml.models.networks.lightning.callbacks import BestEpochCallback
    from factory_assets.ml.models.networks.lightning.module import NetworkModule


FILE = "weights.safetensors"


class NetworkModel(Model):
    """A LightningModule over scaled numbers and category codes, kept as its weights."""

    scaled: ClassVar[bool] = True
    vocabulary: ClassVar[int] = 200
    stops: ClassVar[bool] = True
    streams: ClassVar[bool] = True

    def __init__(self, shape: Shape, module: nn.Module) -> None:
        self._shape, self._module = shape, module.eval()

    @classmethod
    def fit(cls, setting: FitContext, train: LabelledArrays, validation: LabelledArrays) -> Fit:
        from factory_assets.ml.models.networks.modules.ensemble import ensemble

        count = cast(Network, setting.spec).ensemble
        members = []
        for member in range(count):
            kept = setting.checkpoints
            own = replace(
                setting,
                seed=setting.seed + APART * member,
                progress=_numbered(setting.progress, member, count),
                checkpoints=kept / str(member) if kept else None,
                # The first tells whether the others are worth it.
                watch=None if member else setting.watch,
                budget=setting.budget and setting.budget.part(member, count),
            )
            members.append(cls._fit_in_memory(own, train, validation))
        whole = ensemble([module for module, _ in members], setting.shape)
        return _fit_of(cls(setting.shape, whole), [best for _, best in members])

    @classmethod
    def _fit_in_memory(
        cls, setting: FitContext, train: LabelledArrays, validation: LabelledArrays
    ) -> tuple[NetworkModule, BestEpochCallback]:
        """With batches as declared or, where memory is too short for them, half as large."""
        from factory_assets.ml.models.networks.lightning.trainer import OutOfMemoryError

        try:
            return cls._fit_one(setting, train, validation)
        except OutOfMemoryError as error:
            setting.progress(f"{error.what}: begins anew with batches half as large")
        kept = setting.checkpoints
        smaller = replace(setting, halved=True, checkpoints=kept / "halved" if kept else None)
        module, best = cls._fit_one(smaller, train, validation)
        best.halved = True
        return module, best

    @classmethod
    def _fit_one(
        cls, setting: FitContext, train: LabelledArrays, validation: LabelledArrays
    ) -> tuple[NetworkModule, BestEpochCallback]:
        import torch

        from factory_assets.ml.models.networks.lightning.distributed import (
            devices_of,
            train_together,
        )
        from factory_assets.ml.models.networks.lightning.logs import quiet

        several = devices_of(setting) * setting.trainer.nodes > 1
        with torch.random.fork_rng(), quiet():
            module = cls._new(setting)
            best = (
                train_together(cls._share, setting, train, validation)
                if several
                else cls._learn(module, setting, train, validation)
            )
        module.load_state_dict(best.weights)
        return module, best

    @classmethod
    def _new(cls, setting: FitContext) -> NetworkModule:
        import torch

        torch.manual_seed(setting.seed)
        return cls._build(setting.spec, setting.shape, setting.folder)

    @classmethod
    def _share(
        cls, setting: FitContext, train: LabelledArrays, validation: LabelledArrays
    ) -> BestEpochCallback:
        """The part of one process in a training by several."""
        return cls._learn(cls._new(setting), setting, train, validation)

    @classmethod
    def _learn(
        cls,
        module: NetworkModule,
        setting: FitContext,
        train: LabelledArrays,
        validation: LabelledArrays,
    ) -> BestEpochCallback:
        from factory_assets.ml.models.networks.lightning.trainer import learn

        return learn(
            module,
            setting,
            (*tensors(train.inputs), target_of(train)),
            (*tensors(validation.inputs), target_of(validation)),
        )

    def outputs(self, inputs: Arrays) -> NDArray[np.float64]:
        import torch

        with torch.inference_mode():
            parts = list(self._parts(inputs))
            raw = torch.cat(parts) if parts else torch.empty((0, self._shape.outputs))
            ready = (
                raw.reshape(-1) if self._shape.task == "regression" else raw.double().softmax(dim=1)
            )
        found: NDArray[np.float64] = ready.double().numpy()
        return found

    def _parts(self, inputs: Arrays) -> Iterator[Tensor]:
        """What the network says, slice by slice."""
        from factory_assets.ml.models.networks.lightning.batches import sliced
        from factory_assets.ml.models.networks.lightning.trainer import MANY

        for part in sliced(tensors(inputs), MANY):
            yield self._module(*part)

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        weights = {name: w.contiguous().clone() for name, w in self._module.state_dict().items()}
        save_file(weights, folder / FILE)

    @classmethod
    def load(cls, spec: ModelSpec, shape: Shape, files: Path, folder: Path) -> Self:
        from safetensors.torch import load_file

        from factory_assets.ml.models.networks.modules.ensemble import ensemble

        count = cast(Network, spec).ensemble
        module = ensemble([cls._build(spec, shape, folder) for _ in range(count)], shape)
        try:
            module.load_state_dict(load_file(files / FILE))
        except RuntimeError as error:
            raise ModelError(
                f"{FILE} does not fit the network: {error}", remedy="train it again"
            ) from error
        return cls(shape, module)

    def graph(self) -> onnx.ModelProto:
        from factory_assets.ml.models.networks.onnx_export import export_network

        return export_network(self._module, self._shape)

    @classmethod
    def _build(cls, spec: ModelSpec, shape: Shape, folder: Path) -> NetworkModule:
        from factory_assets.ml.models.networks.lightning.trainer import user_errors
        from factory_assets.ml.models.networks.modules.mlp import MlpModule

        wanted = (shape.numbers, shape.cardinalities, shape.outputs)
        if isinstance(spec, Mlp):
            return MlpModule(*wanted, hidden=spec.hidden, dropout=spec.dropout)
        declared = cast(OwnModule, spec)
        own = _custom_class(declared, folder)
        with user_errors(declared):
            built: NetworkModule = own(*wanted, **declared.args)
        return built

    @property
    def network(self) -> nn.Module:
        """The trained module, in eval mode; of several members an `Ensemble`."""
        return self._module

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self._module.parameters())


def _custom_class(spec: OwnModule, folder: Path) -> type[NetworkModule]:
    """The user's class with our training beneath it: what it does not do itself, ours does."""
    from factory_assets.ml.models.networks.lightning.module import NetworkModule

    own = load_object(spec.python, folder)
    return type(own.__name__, (own, NetworkModule), {})


def _numbered(progress: Progress, member: int, count: int) -> Progress:
    if count == 1:
        return progress
    return lambda text: progress(f"network {member + 1}/{count}, {text}")


def _fit_of(model: Model, found: Sequence[BestEpochCallback]) -> Fit:
    """The epochs of every network, one after another; the best of them all."""
    epochs = [epoch for best in found for epoch in best.history]
    history = tuple(epoch.model_copy(update={"epoch": i}) for i, epoch in enumerate(epochs))
    best = min(history, key=lambda epoch: epoch.validation_loss)
    return Fit(model, history, best.epoch, any(network.halved for network in found))


def tensors(inputs: Arrays) -> tuple[Tensor, Tensor]:
    """Numbers and codes, without a copy."""
    import torch

    return torch.from_numpy(inputs.numbers), torch.from_numpy(inputs.codes)


def target_of(rows: LabelledArrays) -> Tensor:
    import torch

    return torch.from_numpy(rows.target)


class CnnModel(NetworkModel):
    """The pixels are the last of the numbers."""

    streams: ClassVar[bool] = False

    @classmethod
    def _build(cls, spec: ModelSpec, shape: Shape, folder: Path) -> NetworkModule:
        from factory_assets.ml.models.networks.modules.cnn import CnnModule

        return CnnModule(shape, cast(Cnn, spec))
