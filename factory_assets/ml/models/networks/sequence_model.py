"""Networks over windows of series: recurrent, convolutional, with attention."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from factory_assets.ml.features.arrays import Arrays, LabelledArrays, RowWindows
from factory_assets.ml.models.base import FitContext, Shape
from factory_assets.ml.models.networks.model import NetworkModel, target_of, tensors
from factory_assets.spec.models import SequenceNetwork
from factory_assets.spec.train import ModelSpec

if TYPE_CHECKING:
    from torch import Tensor

    from factory_assets.ml.models.networks.lightning.batches import Batch
    from factory_assets.ml.models.networks.lightning.callbacks import BestEpochCallback
    from factory_assets.ml.models.networks.lightning.module import NetworkModule
    from factory_assets.ml.models.networks.modules.sequence import SequenceModule


MANY = 65_536
"""Rows in the windows that are evaluated at once."""

STEPS = 32
"""The fewest steps of an epoch: windows overlap, so that a few epochs must do."""


class SequenceModel(NetworkModel):
    """A network over windows, gathered a batch at a time: memory stays that of the rows."""

    streams: ClassVar[bool] = False

    @classmethod
    def _build(cls, spec: ModelSpec, shape: Shape, folder: Path) -> NetworkModule:
        from factory_assets.ml.models.networks.modules.sequence import SequenceModule

        declared = cast(SequenceNetwork, spec)
        return SequenceModule(shape.numbers, shape.cardinalities, shape.outputs, declared)

    @classmethod
    def _learn(
        cls,
        module: NetworkModule,
        setting: FitContext,
        train: LabelledArrays,
        validation: LabelledArrays,
    ) -> BestEpochCallback:
        import torch

        from factory_assets.ml.models.networks.lightning.trainer import learn

        reader = cast("SequenceModule", module)
        # One layout for both parts; each window stays within its own.
        pairs = zip(tensors(train.inputs), tensors(validation.inputs), strict=True)
        numbers, codes = (torch.cat(pair) for pair in pairs)
        reader.read(numbers, codes)
        before = len(train.inputs.numbers)
        found = learn(
            module,
            setting,
            _batch(train, 0),
            _batch(validation, before),
            window=reader.window,
            steps=STEPS,
        )
        reader.read(numbers[:0], codes[:0])
        return found

    def _parts(self, inputs: Arrays) -> Iterator[Tensor]:
        import torch

        windows = cast(RowWindows, inputs.windows)
        many = max(1, MANY // windows.size)
        for start in range(0, len(windows), many):
            places = windows.take(slice(start, start + many)).places()
            yield self._module(*tensors(inputs), torch.from_numpy(places))


def _batch(rows: LabelledArrays, before: int) -> Batch:
    import torch

    windows = cast(RowWindows, rows.inputs.windows)
    ends = torch.from_numpy(windows.ends + before)
    return ends, torch.from_numpy(windows.lengths), target_of(rows)
