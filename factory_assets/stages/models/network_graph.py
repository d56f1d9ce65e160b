"""A network as ONNX, by torch's own exporter. Imports torch, hence only inside functions."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from factory_assets.stages.models.graphs import IR, OPSET
from factory_resources.errors import ModelError

if TYPE_CHECKING:
    import onnx

    from factory_assets.stages.models.base import Shape


class _Served(nn.Module):
    """The network with its last step, over those of its inputs that hold columns."""

    def __init__(self, network: nn.Module, shape: Shape) -> None:
        super().__init__()
        self._network, self._shape = network, shape

    def forward(self, first: Tensor, second: Tensor | None = None) -> Tensor:
        rows = first.shape[0]
        if not self._shape.cardinalities:
            numbers, codes = first, torch.zeros((rows, 0), dtype=torch.int64)
        elif not self._shape.numbers:
            numbers, codes = torch.zeros((rows, 0)), first
        else:
            numbers, codes = first, cast(Tensor, second)
        raw: Tensor = self._network(numbers, codes)
        if self._shape.task == "regression":
            return raw.reshape(-1, 1)
        return raw.softmax(dim=1)


def export_network(network: nn.Module, shape: Shape) -> onnx.ModelProto:
    """The graph that `Model.graph` promises.

    Raises:
        ModelError: when a user's module does what ONNX cannot express.
    """
    inputs = {
        "numbers": torch.zeros((3, shape.numbers)),
        "codes": torch.zeros((3, len(shape.cardinalities)), dtype=torch.int64),
    }
    present = {name: tensor for name, tensor in inputs.items() if tensor.shape[1]}
    rows = torch.export.Dim("N", min=1)
    try:
        with warnings.catch_warnings(), _silence():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                _Served(network, shape).eval(),
                tuple(present.values()),
                input_names=list(present),
                output_names=["outputs"],
                opset_version=OPSET,
                dynamic_shapes=tuple({0: rows} for _ in present),
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ModelError(
            f"the network cannot be exported to ONNX: {error}",
            remedy="use operations that torch.onnx can export, on a batch of any size",
        ) from error
    model: onnx.ModelProto = cast(Any, program).model_proto
    model.ir_version = IR
    return model


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """The exporter prints its progress and warns of operators that no one uses."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
