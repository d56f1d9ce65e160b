"""Export a network to ONNX with torch's own exporter.

This module imports torch, so import it only inside functions.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from factory_assets.ml.models.onnx_nodes import EXPORTABLE, IR, OPSET
from factory_resources.errors import ModelError

if TYPE_CHECKING:
    import onnx

    from factory_assets.ml.models.base import Shape


class _Served(nn.Module):
    """The network with its output transformation, taking only the inputs that have columns."""

    def __init__(self, network: nn.Module, shape: Shape) -> None:
        super().__init__()
        self._network, self._shape = network, shape

    def forward(self, first: Tensor, second: Tensor | None = None) -> Tensor:
        return self._transform(self._network(*self._all_inputs(first, second)))

    def _all_inputs(self, first: Tensor, second: Tensor | None) -> tuple[Tensor, Tensor]:
        rows = first.shape[0]
        if not self._shape.cardinalities:
            return first, torch.zeros((rows, 0), dtype=torch.int64)
        if not self._shape.numbers:
            return torch.zeros((rows, 0)), first
        return first, cast(Tensor, second)

    def _transform(self, raw: Tensor) -> Tensor:
        if self._shape.task == "regression":
            return raw.reshape(-1, 1)
        return raw.softmax(dim=1)


class _ServedWindows(_Served):
    """The same for a network over windows of rows."""

    def forward(  # type: ignore[override]
        self, windows: Tensor, first: Tensor, second: Tensor | None = None
    ) -> Tensor:
        return self._transform(self._network(*self._all_inputs(first, second), windows))


def export_network(network: nn.Module, shape: Shape) -> onnx.ModelProto:
    """Return the graph that `Model.graph` describes.

    Raises:
        ModelError: a user's module uses operations that ONNX cannot express.
    """
    inputs = {
        "numbers": torch.zeros((3, shape.numbers)),
        "codes": torch.zeros((3, len(shape.cardinalities)), dtype=torch.int64),
    }
    present = {name: tensor for name, tensor in inputs.items() if tensor.shape[1]}
    rows = torch.export.Dim("N", min=1)
    dims: list[Any] = [{0: rows} for _ in present]
    served = _Served
    if shape.window:
        served = _ServedWindows
        present = {"windows": torch.zeros((2, shape.window), dtype=torch.int64), **present}
        dims = [{0: torch.export.Dim("M", min=1)}, *dims]
    try:
        with warnings.catch_warnings(), _silence():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                served(network, shape).eval(),
                tuple(present.values()),
                input_names=list(present),
                output_names=["outputs"],
                opset_version=OPSET,
                dynamic_shapes=tuple(dims),
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise ModelError(
            f"the network cannot be exported to ONNX: {_reason(error)}",
            remedy=EXPORTABLE,
        ) from error
    model: onnx.ModelProto = cast(Any, program).model_proto
    model.ir_version = IR
    return _canonical(model)


def _reason(error: BaseException) -> str:
    """Return the first line of the innermost cause: the others tell the exporter's own steps."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:_LONGEST]


def _canonical(model: onnx.ModelProto) -> onnx.ModelProto:
    """Make the bytes reproducible: number names by appearance, and delete the export's metadata.

    The metadata would also disclose where the code is on this machine.
    """
    graph = model.graph
    public = {"", *(value.name for value in (*graph.input, *graph.output))}
    names: dict[str, str] = {}

    def renamed(values: Iterable[str]) -> list[str]:
        return [v if v in public else names.setdefault(v, f"v{len(names)}") for v in values]

    for node in graph.node:
        node.name = node.doc_string = ""
        del node.metadata_props[:]
        node.input[:], node.output[:] = renamed(node.input), renamed(node.output)
    used = [weight for weight in graph.initializer if weight.name in names]
    weights = sorted(used, key=lambda weight: int(names[weight.name][1:]))
    for weight in weights:
        weight.name = names[weight.name]
    del graph.initializer[:], graph.value_info[:], graph.metadata_props[:], model.metadata_props[:]
    graph.initializer.extend(weights)
    return model


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Silence the exporter's progress, its warnings, and the graphs that it prints of what fails.

    Its warnings are about unused operators.
    """
    loggers = [logging.getLogger(name) for name in _NOISY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    unread = io.StringIO()
    try:
        with contextlib.redirect_stdout(unread), contextlib.redirect_stderr(unread):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


_NOISY = ("torch.onnx", "torch.fx.experimental.symbolic_shapes")

_LONGEST = 200
"""Characters of the exporter's reason."""
