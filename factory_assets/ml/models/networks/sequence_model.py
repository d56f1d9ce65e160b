"""Networks over windows of series: recurrent, convolutional, with attention.

Their PyTorch modules belong in `modules/sequence.py`, networks over single rows in `model.py`.
"""

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


ROWS_PER_BATCH = 65_536
"""Rows in the windows that are evaluated in one batch."""

MIN_STEPS_PER_EPOCH = 32
"""The fewest steps of an epoch: windows overlap, so that few epochs must suffice."""


class SequenceModel(NetworkModel):
    """A network over windows. Each batch gathers its own, so that memory holds only the rows."""

    streams: ClassVar[bool] = False

    @classmethod
    def _build(cls, spec: ModelSpec, shape: Shape, folder: Path) -> NetworkModule:
        from factory_assets.ml.models.networks.modules.sequence import SequenceModule

        declared = cast(SequenceNetwork, spec)
        return SequenceModule(shape.numbers, shape.cardinalities, shape.outputs, declared)

    @classmethod
    def _train(
        cls,
        module: NetworkModule,
        context: FitContext,
        train: LabelledArrays,
        validation: LabelledArrays,
    ) -> BestEpochCallback:
        import torch

        from factory_assets.ml.models.networks.lightning.trainer import train_network

        sequence_module = cast("SequenceModule", module)
        # One layout for both parts; no window crosses from one into the other.
        pairs = zip(tensors(train.inputs), tensors(validation.inputs), strict=True)
        numbers, codes = (torch.cat(pair) for pair in pairs)
        sequence_module.read(numbers, codes)
        offset = len(train.inputs.numbers)
        best = train_network(
            module,
            context,
            _batch(train, 0),
            _batch(validation, offset),
            window=sequence_module.window,
            steps=MIN_STEPS_PER_EPOCH,
        )
        sequence_module.read(numbers[:0], codes[:0])
        return best

    def _raw_outputs(self, inputs: Arrays) -> Iterator[Tensor]:
        import torch

        windows = cast(RowWindows, inputs.windows)
        batch_size = max(1, ROWS_PER_BATCH // windows.size)
        for start in range(0, len(windows), batch_size):
            positions = windows.take(slice(start, start + batch_size)).places()
            yield self._module(*tensors(inputs), torch.from_numpy(positions))


def _batch(rows: LabelledArrays, offset: int) -> Batch:
    """Return window ends, window lengths and targets; `offset` rows precede these in the layout."""
    import torch

    windows = cast(RowWindows, rows.inputs.windows)
    ends = torch.from_numpy(windows.ends + offset)
    return ends, torch.from_numpy(windows.lengths), target_of(rows)
