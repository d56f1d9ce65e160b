"""LightGBM's trees as one ONNX node, and the step from scores to probabilities."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from factory_assets.stages.models.graphs import make_model, merge, one_hot

if TYPE_CHECKING:
    import onnx

    from factory_assets.stages.models.base import Shape


def trees_graph(trees: Sequence[dict[str, Any]], shape: Shape) -> onnx.ModelProto:
    """What `Model.graph` promises.

    Args:
        trees: `tree_info` of LightGBM's JSON; one after another for each class.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    node: Any = helper.make_node
    targets = shape.outputs if shape.task == "multiclass" else 1
    columns: dict[str, list[Any]] = defaultdict(list)
    for place, tree in enumerate(trees):
        _add_tree(tree["tree_structure"], place, place % targets, columns)
    ensemble = node(
        "TreeEnsembleRegressor",
        ["matrix"],
        ["outputs" if shape.task == "regression" else "scores"],
        domain="ai.onnx.ml",
        n_targets=targets,
        aggregate_function="SUM",
        post_transform="NONE",
        **columns,
    )
    after = {
        "regression": [],
        "multiclass": [node("Softmax", ["scores"], ["outputs"], axis=1)],
        "binary": [
            node("Sigmoid", ["scores"], ["positive"]),
            node("Sub", ["one", "positive"], ["negative"]),
            node("Concat", ["negative", "positive"], ["outputs"], axis=1),
        ],
    }[shape.task]
    ones = [numpy_helper.from_array(np.array([1], dtype=np.float32), "one")]
    describe = helper.make_tensor_value_info
    width = shape.numbers + sum(shape.cardinalities)
    body = make_model(
        [ensemble, *after],
        [describe("matrix", TensorProto.FLOAT, ["N", width])],
        [describe("outputs", TensorProto.FLOAT, ["N", shape.outputs])],
        ones if shape.task == "binary" else [],
    )
    return merge(one_hot(shape), body, {"matrix": "matrix"})


def _add_tree(root: dict[str, Any], tree: int, target: int, columns: dict[str, list[Any]]) -> None:
    """Append a tree to the attributes of the node; its nodes are numbered as they are met."""
    waiting = [root]
    number = 0
    while waiting:
        found = waiting.pop(0)
        leaf = "leaf_value" in found
        children = (0, 0)
        if not leaf:
            first = number + len(waiting) + 1
            children = (first, first + 1)
            waiting += [found["left_child"], found["right_child"]]
        else:
            columns["target_treeids"].append(tree)
            columns["target_nodeids"].append(number)
            columns["target_ids"].append(target)
            columns["target_weights"].append(float(found["leaf_value"]))
        columns["nodes_treeids"].append(tree)
        columns["nodes_nodeids"].append(number)
        columns["nodes_modes"].append("LEAF" if leaf else "BRANCH_LEQ")
        columns["nodes_featureids"].append(0 if leaf else found["split_feature"])
        columns["nodes_values"].append(0.0 if leaf else _narrow(found["threshold"]))
        columns["nodes_truenodeids"].append(children[0])
        columns["nodes_falsenodeids"].append(children[1])
        number += 1


def _narrow(threshold: float) -> float:
    """Rounded down to float32: for float32 inputs the same comparison."""
    import numpy as np

    narrow = np.float32(threshold)
    return float(np.nextafter(narrow, np.float32(-np.inf)) if narrow > threshold else narrow)
