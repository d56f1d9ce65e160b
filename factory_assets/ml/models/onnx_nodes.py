"""ONNX helpers that the models share: one opset, one-hot matrices, merging and trying graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import ArrayLike, NDArray

    from factory_assets.ml.features.arrays import Arrays
    from factory_assets.ml.models.base import Shape


OPSET = 18

ML_OPSET = 3

IR = 9

EXPORTABLE = (
    "use operations that torch.onnx can export, on a batch of any size, and no `if` or loop that "
    "depends on the values of a tensor"
)
"""The remedy of a network that cannot be exported."""


def round_down(thresholds: ArrayLike) -> NDArray[np.float32]:
    """Round thresholds to float32 so that comparisons with float32 inputs stay the same."""
    import numpy as np

    # As arrays of 64 bits: a plain float would be compared as float32, in which both are equal.
    exact: NDArray[Any] = np.asarray(thresholds, dtype=np.float64)
    narrow = exact.astype(np.float32)
    below = np.nextafter(narrow, np.float32(-np.inf))
    return np.where(narrow > exact, below, narrow)


def make_model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: Sequence[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    """Return a model with the shared opset, so that models can be merged."""
    from onnx import helper

    graph = helper.make_graph(nodes, "factory", inputs, outputs, initializer=constants)
    return helper.make_model(
        graph,
        ir_version=IR,
        opset_imports=make_opsets(),
    )


def make_opsets() -> list[onnx.OperatorSetIdProto]:
    from onnx import helper

    return [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]


def array_inputs(shape: Shape) -> list[onnx.ValueInfoProto]:
    """Return the graph inputs `numbers` and `codes`, each only if the model has such columns."""
    from onnx import TensorProto, helper

    numbers = helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["N", shape.numbers])
    codes = helper.make_tensor_value_info(
        "codes", TensorProto.INT64, ["N", len(shape.cardinalities)]
    )
    return [*([numbers] if shape.numbers else []), *([codes] if shape.cardinalities else [])]


def one_hot(shape: Shape) -> onnx.ModelProto:
    """Return `Arrays.one_hot` as a graph: `matrix`, float [N, width + sum of cardinalities]."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    constants, nodes, blocks = [], [], ["numbers"] if shape.numbers else []
    for i, cardinality in enumerate(shape.cardinalities):
        constants.append(numpy_helper.from_array(np.array([i], dtype=np.int64), f"index_{i}"))
        constants.append(
            numpy_helper.from_array(np.arange(cardinality, dtype=np.int64), f"range_{i}")
        )
        nodes.append(helper.make_node("Gather", ["codes", f"index_{i}"], [f"code_{i}"], axis=1))
        nodes.append(helper.make_node("Equal", [f"code_{i}", f"range_{i}"], [f"is_{i}"]))
        nodes.append(helper.make_node("Cast", [f"is_{i}"], [f"hot_{i}"], to=TensorProto.FLOAT))
        blocks.append(f"hot_{i}")
    nodes.append(helper.make_node("Concat", blocks, ["matrix"], axis=1))
    width = shape.numbers + sum(shape.cardinalities)
    matrix = helper.make_tensor_value_info("matrix", TensorProto.FLOAT, ["N", width])
    return make_model(nodes, array_inputs(shape), [matrix], constants)


def merge(
    first: onnx.ModelProto, second: onnx.ModelProto, names: dict[str, str]
) -> onnx.ModelProto:
    """Feed outputs of `first` into inputs of `second`; `names` maps output name to input name."""
    from onnx import compose

    prefixed = compose.add_prefix(second, "model_", rename_inputs=False, rename_outputs=False)
    prefixed.ir_version = first.ir_version
    return compose.merge_models(first, prefixed, io_map=list(names.items()))


def prefixed(model: onnx.ModelProto, prefix: str, inputs: Mapping[str, str]) -> onnx.GraphProto:
    """Return the graph with a prefix before all names, except for those of its inputs.

    Args:
        inputs: what some inputs are called instead.
    """
    from onnx import compose

    graph = compose.add_prefix(model, prefix, rename_inputs=False).graph
    for node in graph.node:
        node.input[:] = [inputs.get(name, name) for name in node.input]
    return graph


def graph_outputs(graph: onnx.ModelProto, inputs: Arrays) -> NDArray[Any]:
    """Run a graph on rows, and return its first output.

    Raises:
        Exception: ONNX Runtime cannot load or run it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # What it raises is told; otherwise it would be printed too.
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    arrays = {"numbers": inputs.numbers, "codes": inputs.codes}
    feed = {given.name: arrays[given.name] for given in session.get_inputs()}
    outputs: NDArray[Any] = session.run(None, feed)[0]
    return outputs
