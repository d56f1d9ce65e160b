"""Networks over single rows, trained with Lightning.

These are the factory's MLP for tables, its CNN for pictures, and a user's LightningModule. Networks
over windows of series belong in `sequence_model.py`, the training loop in `lightning`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self, cast

from factory_assets.ml.features.arrays import Arrays, LabelledArrays
from factory_assets.ml.models.base import (
    ENSEMBLE_SEED_STEP,
    Fit,
    FitContext,
    Model,
    Shape,
    join_histories,
    median_rounds,
)
from factory_assets.spec.models import Cnn, Mlp, Network, OwnModule
from factory_assets.spec.train import ModelSpec
from factory_resources.errors import ModelError
from factory_resources.progress import Progress
from factory_resources.user_code import load_object

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from factory_assets.ml.models.networks.lightning.callbacks import BestEpochCallback
    from factory_assets.ml.models.networks.lightning.module import NetworkModule
    from factory_assets.ml.models.networks.modules.ensemble import Ensemble


FILE = "weights.safetensors"


class NetworkModel(Model):
    """A LightningModule over scaled numbers and category codes; only its weights are stored."""

    scaled: ClassVar[bool] = True
    vocabulary: ClassVar[int] = 200
    stops: ClassVar[bool] = True
    streams: ClassVar[bool] = True

    def __init__(self, shape: Shape, module: NetworkModule | Ensemble) -> None:
        self._shape, self._module = shape, module.eval()

    @classmethod
    def try_out(cls, context: FitContext, inputs: Arrays) -> None:
        """Look at the outputs and the export of a user's network that has learned nothing yet."""
        if not isinstance(context.spec, OwnModule):
            return
        import torch

        from factory_assets.ml.models.networks.custom_outputs import require_custom_graph
        from factory_assets.ml.models.networks.lightning.logs import silenced
        from factory_assets.ml.models.networks.lightning.trainer import user_errors

        with torch.random.fork_rng(), silenced(), user_errors(context.spec):
            model = cls(context.shape, cls._new(context))
            model._require_custom_outputs(context, inputs)
            require_custom_graph(model.graph(), model.outputs, inputs, context.spec)

    @classmethod
    def fit(cls, context: FitContext, train: LabelledArrays, validation: LabelledArrays) -> Fit:
        from factory_assets.ml.models.networks.modules.ensemble import ensemble

        count = cast(Network, context.spec).ensemble
        # What a budget leaves to a member is known when the one before has ended.
        independent = context.budget is None and context.trainer.alone and count > 1
        if context.members and independent:
            fits = [*context.members(context)]
        else:
            fits = [cls.fit_member(context, n, train, validation) for n in range(count)]
        modules = [cast("NetworkModule", cast(NetworkModel, fit.model)._module) for fit in fits]
        return _fit_of(cls(context.shape, ensemble(modules, context.shape)), fits)

    @classmethod
    def fit_member(
        cls,
        context: FitContext,
        number: int,
        train: LabelledArrays,
        validation: LabelledArrays,
    ) -> Fit:
        """Fit one network of an ensemble; none depends on the others.

        Raises:
            ModelError: as for `fit`.
        """
        folder, count = context.checkpoints, cast(Network, context.spec).ensemble
        own = replace(
            context,
            seed=context.seed + ENSEMBLE_SEED_STEP * number,
            progress=_with_member(context.progress, number, count),
            checkpoints=folder / str(number) if folder else None,
            # The first member shows a search whether the others are worth training.
            watch=None if number else context.watch,
            budget=context.budget and context.budget.part(number, count),
        )
        module, best = cls._fit_in_memory(own, train, validation)
        rounds = best.best_epoch + 1
        model = cls(context.shape, module)
        model._require_custom_outputs(context, train.inputs)
        return Fit(model, tuple(best.history), None, best.halved, rounds)

    @classmethod
    def _fit_in_memory(
        cls, context: FitContext, train: LabelledArrays, validation: LabelledArrays
    ) -> tuple[NetworkModule, BestEpochCallback]:
        """Fit with the declared batch size; if memory is too small for that, with half of it."""
        from factory_assets.ml.models.networks.lightning.trainer import OutOfMemoryError

        try:
            return cls._fit_one(context, train, validation)
        except OutOfMemoryError as error:
            context.progress(f"{error.what}: restarting with batches half as large")
        folder = context.checkpoints
        smaller = replace(context, halved=True, checkpoints=folder / "halved" if folder else None)
        module, best = cls._fit_one(smaller, train, validation)
        best.halved = True
        return module, best

    @classmethod
    def _fit_one(
        cls, context: FitContext, train: LabelledArrays, validation: LabelledArrays
    ) -> tuple[NetworkModule, BestEpochCallback]:
        import torch

        from factory_assets.ml.models.networks.lightning.distributed import (
            device_count,
            train_distributed,
        )
        from factory_assets.ml.models.networks.lightning.logs import silenced

        distributed = device_count(context) * context.trainer.nodes > 1
        with torch.random.fork_rng(), silenced():
            module = cls._new(context)
            best = (
                train_distributed(cls._train_process, context, train, validation)
                if distributed
                else cls._train(module, context, train, validation)
            )
        module.load_state_dict(best.weights)
        return module, best

    @classmethod
    def _new(cls, context: FitContext) -> NetworkModule:
        import torch

        torch.manual_seed(context.seed)
        return cls._build(context.spec, context.shape, context.folder)

    @classmethod
    def _train_process(
        cls, context: FitContext, train: LabelledArrays, validation: LabelledArrays
    ) -> BestEpochCallback:
        """Do the work of one process of a distributed training."""
        return cls._train(cls._new(context), context, train, validation)

    @classmethod
    def _train(
        cls,
        module: NetworkModule,
        context: FitContext,
        train: LabelledArrays,
        validation: LabelledArrays,
    ) -> BestEpochCallback:
        from factory_assets.ml.models.networks.lightning.trainer import train_network

        return train_network(
            module,
            context,
            (*tensors(train.inputs), target_of(train)),
            (*tensors(validation.inputs), target_of(validation)),
        )

    def _require_custom_outputs(self, context: FitContext, inputs: Arrays) -> None:
        if not isinstance(context.spec, OwnModule):
            return
        from factory_assets.ml.models.networks.custom_outputs import require_custom_outputs
        from factory_assets.ml.models.networks.lightning.trainer import user_errors

        with user_errors(context.spec):
            require_custom_outputs(
                lambda few: self._module(*tensors(few)),
                self.outputs,
                self._shape,
                inputs,
                context.spec,
            )

    def outputs(self, inputs: Arrays) -> NDArray[np.float64]:
        import torch

        with torch.inference_mode():
            batches = list(self._raw_outputs(inputs))
            raw = torch.cat(batches) if batches else torch.empty((0, self._shape.outputs))
            outputs = (
                raw.reshape(-1) if self._shape.task == "regression" else raw.double().softmax(dim=1)
            )
        result: NDArray[np.float64] = outputs.double().numpy()
        return result

    def _raw_outputs(self, inputs: Arrays) -> Iterator[Tensor]:
        """Yield the network's outputs, [rows, outputs], batch by batch."""
        from factory_assets.ml.models.networks.lightning.batches import evaluated_at_once, sliced

        for batch in sliced(tensors(inputs), evaluated_at_once(self._module.values_per_row)):
            yield self._module(*batch)

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
                f"{FILE} does not match the network: {error}", remedy="train again"
            ) from error
        return cls(shape, module)

    def graph(self) -> onnx.ModelProto:
        from factory_assets.ml.models.networks.mlp_export import export_mlp, mlp_members

        if members := mlp_members(self._module):
            return export_mlp(members, self._shape)
        from factory_assets.ml.models.networks.onnx_export import export_network

        return export_network(self._module, self._shape)

    @classmethod
    def _build(cls, spec: ModelSpec, shape: Shape, folder: Path) -> NetworkModule:
        from factory_assets.ml.models.networks.lightning.trainer import user_errors
        from factory_assets.ml.models.networks.modules.mlp import MlpModule

        sizes = (shape.numbers, shape.cardinalities, shape.outputs)
        if isinstance(spec, Mlp):
            return MlpModule(
                *sizes, hidden=spec.hidden, dropout=spec.dropout, activation=spec.activation
            )
        declared = cast(OwnModule, spec)
        user_class = _custom_class(declared, folder)
        with user_errors(declared):
            module: NetworkModule = user_class(*sizes, **declared.args)
        return module

    @property
    def network(self) -> nn.Module:
        """The trained module in eval mode; an `Ensemble` if there are several members."""
        return self._module

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self._module.parameters())


def _custom_class(spec: OwnModule, folder: Path) -> type[NetworkModule]:
    """Derive the user's class also from `NetworkModule`, which does what it does not override."""
    from factory_assets.ml.models.networks.lightning.module import NetworkModule

    user_class = load_object(spec.python, folder)
    return type(user_class.__name__, (user_class, NetworkModule), {})


def _with_member(progress: Progress, member: int, count: int) -> Progress:
    if count == 1:
        return progress
    return lambda text: progress(f"network {member + 1}/{count}, {text}")


def _fit_of(model: Model, members: Sequence[Fit]) -> Fit:
    """Number the epochs of all networks consecutively, and find the best of them and of each."""
    history = join_histories(member.history for member in members)
    best = min(history, key=lambda epoch: epoch.validation_loss)
    halved = any(member.halved for member in members)
    rounds = median_rounds(member.rounds for member in members)
    return Fit(model, history, best.epoch, halved, rounds)


def tensors(inputs: Arrays) -> tuple[Tensor, Tensor]:
    """Return numbers and codes as tensors that share the arrays' memory."""
    import torch

    return torch.from_numpy(inputs.numbers), torch.from_numpy(inputs.codes)


def target_of(rows: LabelledArrays) -> Tensor:
    """Return the targets as a tensor that shares the array's memory."""
    import torch

    return torch.from_numpy(rows.target)


class MlpModel(NetworkModel):
    """The factory's network for tables."""

    statistics: ClassVar[bool] = True


class CnnModel(NetworkModel):
    """A CNN over pictures and other columns; the pixels are the last of the numbers."""

    streams: ClassVar[bool] = False

    @classmethod
    def _build(cls, spec: ModelSpec, shape: Shape, folder: Path) -> NetworkModule:
        from factory_assets.ml.models.networks.modules.cnn import CnnModule

        return CnnModule(shape, cast(Cnn, spec))
