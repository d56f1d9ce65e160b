"""Export the factory's network for tables to ONNX, node by node.

The graph is the one that torch's exporter makes of it, without the two seconds that the exporter
takes to load and to trace. Other networks belong in `onnx_export.py`. This module imports torch, so
import it only inside functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from factory_assets.ml.models.base import CLIP_SD
from factory_assets.ml.models.networks.modules.ensemble import Ensemble
from factory_assets.ml.models.networks.modules.mlp import MlpModule
from factory_assets.ml.models.onnx_nodes import array_inputs, make_model

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from factory_assets.ml.models.base import Shape


def mlp_members(network: nn.Module) -> tuple[MlpModule, ...]:
    """Return the networks for tables that `network` consists of; none if it has any other part."""
    members = [*network.members] if isinstance(network, Ensemble) else [network]
    # A user's subclass may compute anything.
    found = tuple(member for member in members if type(member) is MlpModule)
    return found if len(found) == len(members) else ()


def export_mlp(members: Sequence[MlpModule], shape: Shape) -> onnx.ModelProto:
    """Return the graph that `Model.graph` describes, of one network or the mean of several."""
    graph = GraphBuilder()
    inputs = graph_inputs(graph, shape)
    outputs = [_member(graph, member, *inputs) for member in members]
    classes = shape.task != "regression"
    if len(outputs) > 1:
        shares = [graph.node("Softmax", one, axis=1) for one in outputs] if classes else outputs
        mean = graph.node("Mean", *shares)
        outputs = [graph.node("Log", mean) if classes else mean]
    last = helper.make_node("Softmax", outputs, ["outputs"], axis=1)
    if not classes:
        last = helper.make_node("Identity", outputs, ["outputs"])
    described = helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["N", shape.outputs])
    return make_model([*graph.nodes, last], array_inputs(shape), [described], graph.constants)


class GraphBuilder:
    """Collects nodes and constants, and names them by their order."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, value: NDArray[Any]) -> str:
        """Add a constant; return its name."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def weights(self, parameter: Tensor) -> str:
        """Add learned values; return their name."""
        return self.constant(parameter.detach().numpy())

    def number(self, value: float) -> str:
        return self.constant(np.array(value, dtype=np.float32))


def graph_inputs(graph: GraphBuilder, shape: Shape) -> tuple[list[str], list[str]]:
    """Return the clipped numbers, none or one, and the codes of each category."""
    numbers = ["numbers"] if shape.numbers else []
    limits = graph.number(-CLIP_SD), graph.number(CLIP_SD)
    codes = (graph.constant(np.array(i)) for i in range(len(shape.cardinalities)))
    return (
        [graph.node("Clip", name, *limits) for name in numbers],
        [graph.node("Gather", "codes", index, axis=1) for index in codes],
    )


def _member(graph: GraphBuilder, network: MlpModule, numbers: list[str], codes: list[str]) -> str:
    """Add one network; return the name of its logits or standardised numbers."""
    layers = cast(Iterable[nn.Embedding], network.embeddings)
    tables = [graph.weights(layer.weight) for layer in layers]
    embedded = [
        graph.node("Gather", table, code, axis=0) for table, code in zip(tables, codes, strict=True)
    ]
    value = graph.node("Concat", *numbers, *embedded, axis=1)
    for layer in network.layers:
        value = _layer(graph, layer, value)
    return value


def _layer(graph: GraphBuilder, layer: nn.Module, value: str) -> str:
    if isinstance(layer, nn.Linear):
        weights, bias = graph.weights(layer.weight), graph.weights(layer.bias)
        return graph.node("Gemm", value, weights, bias, transB=1)
    if isinstance(layer, nn.ReLU):
        return graph.node("Relu", value)
    if isinstance(layer, nn.GELU):
        scaled = graph.node("Div", value, graph.number(2**0.5))
        share = graph.node("Add", graph.node("Erf", scaled), graph.number(1))
        return graph.node("Mul", value, graph.node("Mul", graph.number(0.5), share))
    # Dropout does nothing outside of training.
    return value
