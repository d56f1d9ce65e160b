"""Require of a user's network what serving relies on: an output for each row by itself, and a graph
that computes the same.

What it raises in training is told by `lightning.trainer`, what cannot be exported by `onnx_export`.
This module imports torch, so import it only inside functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.models.base import Shape
from factory_assets.ml.models.onnx_nodes import EXPORTABLE, graph_outputs
from factory_assets.spec.models import OwnModule
from factory_resources.errors import ModelError

if TYPE_CHECKING:
    import onnx

_ROWS = 8
"""How many rows are looked at."""

_CLOSE = 1e-4
"""Largest difference that the size of a batch makes to the outputs of a row."""


def require_custom_outputs(
    network: Callable[[Arrays], Tensor],
    outputs: Callable[[Arrays], NDArray[Any]],
    shape: Shape,
    inputs: Arrays,
    spec: OwnModule,
) -> None:
    """Check the outputs of a few rows.

    Args:
        network: returns the network's own outputs.
        outputs: returns what is served of them.

    Raises:
        ModelError: they have another form or type, or a row's outputs are others beside other rows.
    """
    few = inputs.take(np.arange(min(_ROWS, len(inputs))))
    with torch.inference_mode():
        raw = network(few)
    sizes = [[len(few), shape.outputs], *([[len(few)]] if shape.task == "regression" else [])]
    if [*raw.shape] not in sizes or raw.dtype != torch.float32:
        raise ModelError(
            f"{spec.python} returns {str(raw.dtype).removeprefix('torch.')} {[*raw.shape]} for "
            f"{len(few)} rows, expected float32 {sizes[0]}",
            where="train.model.python",
            remedy="return one row of outputs for each row, as many as the argument `outputs` says",
        )
    together = outputs(few)
    alone = np.concatenate([outputs(few.take(np.array([i]))) for i in range(len(few))])
    if not np.allclose(alone, together, rtol=_CLOSE, atol=_CLOSE):
        raise ModelError(
            f"{spec.python} predicts {together[0]} of a row beside others, and {alone[0]} of the "
            "same row alone",
            where="train.model.python",
            remedy="compute nothing over the rows of a batch, and draw no random numbers, unless "
            "self.training is true",
        )


def require_custom_graph(
    graph: onnx.ModelProto,
    outputs: Callable[[Arrays], NDArray[Any]],
    inputs: Arrays,
    spec: OwnModule,
) -> None:
    """Check that the exported graph gives the network's outputs, for several rows and for one.

    Args:
        outputs: returns what is served of the network.

    Raises:
        ModelError: it does not, such as where a loop over the rows was exported for so many rows.
    """
    for count in dict.fromkeys((min(_ROWS, len(inputs)), 1)):
        few = inputs.take(np.arange(count))
        expected = outputs(few)
        try:
            found = graph_outputs(graph, few)
        except Exception as error:
            raise _other_graph(spec, f"the graph fails for {count} rows: {error}") from error
        if found.size != expected.size:
            raise _other_graph(spec, f"for {count} rows, the graph returns {[*found.shape]}")
        if not np.allclose(found.reshape(expected.shape), expected, rtol=_CLOSE, atol=_CLOSE):
            raise _other_graph(spec, f"the graph predicts {found[0]} of a row, not {expected[0]}")


def _other_graph(spec: OwnModule, reason: str) -> ModelError:
    return ModelError(
        f"{spec.python} cannot be exported to ONNX: {reason}",
        where="train.model.python",
        remedy=EXPORTABLE,
    )
