"""Export the factory's ensemble of networks with shared weights to ONNX, node by node.

All members are computed together: their number is the first axis of each value. This module imports
torch, so import it only inside functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
from onnx import TensorProto, helper
from torch import nn

from factory_assets.ml.models.networks.mlp_export import GraphBuilder, graph_inputs
from factory_assets.ml.models.networks.modules.ensemble import Ensemble
from factory_assets.ml.models.networks.modules.number_embedding import SOFT_LIMIT, NumberEmbedding
from factory_assets.ml.models.networks.modules.tabm import TabmModule
from factory_assets.ml.models.onnx_nodes import array_inputs, make_model

if TYPE_CHECKING:
    import onnx

    from factory_assets.ml.models.base import Shape


def export_tabm(network: nn.Module, shape: Shape) -> onnx.ModelProto:
    """Return the graph that `Model.graph` describes, of one network or the mean of several."""
    networks = [*network.members] if isinstance(network, Ensemble) else [network]
    graph = GraphBuilder()
    numbers, codes = graph_inputs(graph, shape)
    outputs = [
        _outputs(graph, cast(TabmModule, one), numbers, codes, classes=shape.task != "regression")
        for one in networks
    ]
    last = helper.make_node("Mean", outputs, ["outputs"])
    described = helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["N", shape.outputs])
    return make_model([*graph.nodes, last], array_inputs(shape), [described], graph.constants)


def _outputs(
    graph: GraphBuilder,
    network: TabmModule,
    numbers: Sequence[str],
    codes: Sequence[str],
    *,
    classes: bool,
) -> str:
    """Add one network; return the name of its mean probabilities or standardised numbers."""
    tables = (layer.weight for layer in cast(Iterable[nn.Embedding], network.embeddings))
    embedded = [
        *(_embedded_numbers(graph, network.numbers, name) for name in numbers),
        *(
            graph.node("Gather", graph.weights(table), code, axis=0)
            for table, code in zip(tables, codes, strict=True)
        ),
    ]
    first = network.first
    weights = graph.node("Mul", graph.weights(first.adapters), graph.weights(first.weight))
    value = graph.node("MatMul", graph.node("Concat", *embedded, axis=1), weights)
    value = graph.node("Relu", graph.node("Add", value, graph.weights(first.bias)))
    for layer in cast(Iterable[nn.Linear], network.others):
        value = graph.node("MatMul", value, graph.weights(layer.weight.T.contiguous()))
        value = graph.node("Relu", graph.node("Add", value, graph.weights(layer.bias)))
    value = graph.node("MatMul", value, graph.weights(network.last.weight))
    value = graph.node("Add", value, graph.weights(network.last.bias))
    if classes:
        value = graph.node("Softmax", value, axis=2)
    return graph.node("ReduceMean", value, graph.constant(np.array([0])), keepdims=0)


def _embedded_numbers(graph: GraphBuilder, embedding: NumberEmbedding, clipped: str) -> str:
    """Add what `NumberEmbedding` computes of clipped numbers; return the name of its output."""
    centred = graph.node("Sub", clipped, graph.weights(embedding.center))
    scaled = graph.node("Mul", centred, graph.weights(embedding.scale))
    share = graph.node("Div", scaled, graph.number(SOFT_LIMIT))
    root = graph.node("Sqrt", graph.node("Add", graph.node("Mul", share, share), graph.number(1)))
    limited = graph.node("Div", scaled, root)
    last_axis = graph.constant(np.array([2]))
    beyond = graph.node("Unsqueeze", clipped, last_axis)
    beyond = graph.node("Sub", beyond, graph.weights(embedding.starts))
    shares = graph.node("Mul", beyond, graph.weights(embedding.inverse_lengths))
    shares = graph.node("Clip", shares, graph.number(0), graph.number(1))
    by_number = graph.node("Transpose", shares, perm=[1, 0, 2])
    bent = graph.node("MatMul", by_number, graph.weights(embedding.bends))
    bent = graph.node("Transpose", bent, perm=[1, 0, 2])
    return graph.node("Concat", limited, graph.node("Flatten", bent, axis=1), axis=1)
