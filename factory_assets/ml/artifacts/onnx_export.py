"""Export of a trained model as one ONNX graph, which includes the preprocessing.

The graph has one input per column, named like the column. Numbers are float [N, 1], NaN if missing;
times are double [N, 1], seconds since 1970 by the clock of their zone, NaN if missing;
categories are string [N, 1], "" if missing; a text is the output of its encoder, float [N, width],
because the graph does not contain the encoder; a picture is uint8 [N, pixels]. The output is
`probabilities` float [N, classes], or `prediction` double [N] in the target's unit.

A model of series has an additional input, `_windows` int64 [M, window]: the input rows of each of
M predictions, counted from 0, oldest first, -1 after the last row. Running the graph belongs in
`onnx_model.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from factory_assets.ml.artifacts.onnx_metadata import (
    BOOLEANS,
    CLASSES,
    CLEAN,
    INGEST,
    PICTURE,
    REGIONS,
    SERIES,
    TEXTS,
    THRESHOLD,
)
from factory_assets.ml.artifacts.time_nodes import time_nodes
from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.ml.features.features import Category, Features
from factory_assets.ml.models.onnx_nodes import array_inputs, make_model, merge

if TYPE_CHECKING:
    import onnx


def export(trained: TrainedModel) -> bytes:
    """Return the serialised graph, checked by ONNX; the same model gives the same bytes.

    Raises:
        ModelError: if a user's own network does something that ONNX cannot express.
    """
    import onnx

    shape = trained.description.shape
    names = [value.name for value in array_inputs(shape)]
    before = _preprocessing(trained.features, scaled=trained.model.scaled)
    whole = merge(before, trained.model.graph(), {name: name for name in names})
    served = _with_outside_names(whole, trained)
    onnx.checker.check_model(served, full_check=True)
    graph: bytes = served.SerializeToString(deterministic=True)
    return graph


def output_name(trained: TrainedModel) -> str:
    return "probabilities" if trained.target.classes else "prediction"


def _preprocessing(features: Features, *, scaled: bool) -> onnx.ModelProto:
    """Build the graph from columns `in_0`, `in_1`, … to `numbers` and `codes`.

    The steps are those of `Features.arrays`.
    """
    from onnx import TensorProto, helper

    nodes: list[Any] = []
    constants: list[Any] = []
    kinds = [TensorProto.FLOAT] * len(features.numeric)
    kinds += [TensorProto.DOUBLE] * len(features.time_columns)
    kinds += [TensorProto.STRING] * len(features.categorical)
    describe = helper.make_tensor_value_info
    inputs = [describe(f"in_{i}", kind, ["N", 1]) for i, kind in enumerate(kinds)]
    outputs = []
    blocks = _number_nodes(features, scaled, nodes, constants) if features.numbers else []
    blocks[1:1] = _statistics_nodes(features, scaled, nodes, constants)
    for text in features.texts:
        name = f"in_{len(inputs)}"
        inputs.append(describe(name, TensorProto.FLOAT, ["N", text.width]))
        blocks.append(_text_node(name, text.scale, nodes, constants))
    if features.picture:
        name = f"in_{len(inputs)}"
        inputs.append(describe(name, TensorProto.UINT8, ["N", features.picture.numbers]))
        blocks.append(_pixel_nodes(name, nodes, constants))
    if blocks:
        nodes.append(helper.make_node("Concat", blocks, ["numbers"], axis=1))
        outputs.append(describe("numbers", TensorProto.FLOAT, ["N", features.width]))
    if features.categorical:
        _code_nodes(features.categorical, _first_category(features), nodes)
        outputs.append(describe("codes", TensorProto.INT64, ["N", len(features.categorical)]))
    return make_model(nodes, inputs, outputs, constants)


def _with_outside_names(model: onnx.ModelProto, trained: TrainedModel) -> onnx.ModelProto:
    """Name the inputs after their columns, add the named output, and store the metadata.

    Columns cannot begin with an underscore, so all inner names get that prefix to avoid clashes.
    """
    from onnx import compose, helper

    served = compose.add_prefix(model, "_")
    columns = {f"_in_{i}": name for i, name in enumerate(trained.features.columns)}
    for value in served.graph.input:
        value.name = columns.get(value.name, value.name)
    for node in served.graph.node:
        node.input[:] = [columns.get(name, name) for name in node.input]
    _add_output(served.graph, trained)
    series = trained.features.series
    metadata = {
        CLASSES: json.dumps(trained.target.classes),
        INGEST: trained.description.ingest.model_dump_json(by_alias=True),
        CLEAN: trained.description.clean.model_dump_json(by_alias=True),
    }
    if trained.features.booleans:
        metadata[BOOLEANS] = json.dumps(trained.features.booleans)
    if trained.features.picture:
        metadata[PICTURE] = trained.features.picture.model_dump_json()
    if trained.features.texts:
        metadata[TEXTS] = json.dumps([text.model_dump() for text in trained.features.texts])
    if series:
        metadata[SERIES] = series.model_dump_json()
    if trained.description.threshold is not None:
        metadata[THRESHOLD] = repr(trained.description.threshold)
    if trained.description.regions:
        metadata[REGIONS] = trained.description.regions.model_dump_json()
    helper.set_model_props(served, metadata)
    served.producer_name, served.producer_version, served.domain = "factory", "", ""
    return served


def _add_output(graph: onnx.GraphProto, trained: TrainedModel) -> None:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    del graph.output[:]
    name, target = output_name(trained), trained.target
    if target.classes:
        if calibration := trained.description.calibration:
            nodes, constants = calibration.nodes("_outputs", name, target.outputs)
            graph.node.extend(nodes)
            graph.initializer.extend(constants)
        else:
            graph.node.append(helper.make_node("Identity", ["_outputs"], [name]))
        info = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", target.outputs])
        graph.output.append(info)
        return
    # In double: in float32, a large mean would absorb a small deviation.
    for constant, value in (("_sd", target.sd), ("_mean", target.mean)):
        graph.initializer.append(numpy_helper.from_array(np.array(value), constant))
    graph.initializer.append(numpy_helper.from_array(np.array([-1], dtype=np.int64), "_flat"))
    graph.node.extend(
        [
            helper.make_node("Cast", ["_outputs"], ["_wide"], to=TensorProto.DOUBLE),
            helper.make_node("Reshape", ["_wide", "_flat"], ["_vector"]),
            helper.make_node("Mul", ["_vector", "_sd"], ["_spread"]),
            helper.make_node("Add", ["_spread", "_mean"], [name]),
        ]
    )
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["N"]))


def _pixel_nodes(name: str, nodes: list[Any], constants: list[Any]) -> str:
    """Scale pixel bytes to 0 … 1; return the name of the result."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    constants.append(numpy_helper.from_array(np.array(255, dtype=np.float32), "brightest"))
    nodes.append(helper.make_node("Cast", [name], ["bytes"], to=TensorProto.FLOAT))
    nodes.append(helper.make_node("Div", ["bytes", "brightest"], ["pixels"]))
    return "pixels"


def _number_nodes(
    features: Features, scaled: bool, nodes: list[Any], constants: list[Any]
) -> list[str]:
    """Add the nodes for numeric inputs; return the names of the tensors to concatenate."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, values: list[float] | list[int], kind: str) -> str:
        constants.append(numpy_helper.from_array(np.array(values, dtype=kind), name))
        return name

    numeric = features.numbers
    node = helper.make_node
    medians = constant("medians", [n.median for n in numeric], "f4")
    plain = len(features.numeric)
    columns = {name: f"in_{plain + i}" for i, name in enumerate(features.time_columns)}
    of_times = time_nodes(features.times, columns, nodes, constants)
    nodes += [
        node("Concat", [*(f"in_{i}" for i in range(plain)), *of_times], ["raw"], axis=1),
        node("IsNaN", ["raw"], ["nan"]),
        node("IsInf", ["raw"], ["inf"]),
        node("Or", ["nan", "inf"], ["absent"]),
        node("Where", ["absent", medians, "raw"], ["filled"]),
    ]
    last = "filled"
    if scaled:
        nodes += [
            node("Sub", [last, constant("means", [n.mean for n in numeric], "f4")], ["centred"]),
            node("Div", ["centred", constant("sds", [n.sd for n in numeric], "f4")], ["scaled"]),
        ]
        last = "scaled"
    indicators = [i for i, n in enumerate(numeric) if n.indicator]
    if indicators:
        nodes += [
            node("Gather", ["absent", constant("which", indicators, "i8")], ["some"], axis=1),
            node("Cast", ["some"], ["indicators"], to=TensorProto.FLOAT),
        ]
    return [last, *(["indicators"] if indicators else [])]


def _statistics_nodes(
    features: Features, scaled: bool, nodes: list[Any], constants: list[Any]
) -> list[str]:
    """Add the nodes for statistics of categories; return the names of the results."""
    from onnx import helper, numpy_helper

    results = []
    for i, category in enumerate(features.categorical):
        if category.statistics is None:
            continue
        words = list(category.statistics.words)
        table = category.statistics.table(scaled=scaled)
        constants.append(numpy_helper.from_array(table, f"means_{i}"))
        nodes += [
            _places_node(f"in_{_first_category(features) + i}", f"place_{i}", words),
            helper.make_node("Gather", [f"means_{i}", f"place_{i}"], [f"found_{i}"], axis=0),
            helper.make_node("Flatten", [f"found_{i}"], [f"statistics_{i}"], axis=1),
        ]
        results.append(f"statistics_{i}")
    return results


def _text_node(name: str, scale: float | None, nodes: list[Any], constants: list[Any]) -> str:
    """Add the node that scales the numbers of a text, if any; return the name of the result."""
    import numpy as np
    from onnx import helper, numpy_helper

    if scale is None:
        return name
    constants.append(numpy_helper.from_array(np.array(scale, dtype="f4"), f"{name}_scale"))
    nodes.append(helper.make_node("Mul", [name, f"{name}_scale"], [f"{name}_scaled"]))
    return f"{name}_scaled"


def _first_category(features: Features) -> int:
    """Return the position of the first category among the inputs."""
    return len(features.numeric) + len(features.time_columns)


def _code_nodes(categories: tuple[Category, ...], first: int, nodes: list[Any]) -> None:
    from onnx import helper

    codes = [f"code_{i}" for i in range(len(categories))]
    for i, category in enumerate(categories):
        nodes.append(_places_node(f"in_{first + i}", codes[i], category.vocabulary))
    nodes.append(helper.make_node("Concat", codes, ["codes"], axis=1))


def _places_node(column: str, result: str, words: Sequence[str]) -> Any:
    """Return a node that computes i+1 for the i-th of the words, and 0 for any other."""
    from onnx import helper

    return helper.make_node(
        "LabelEncoder",
        [column],
        [result],
        domain="ai.onnx.ml",
        keys_strings=list(words),
        values_int64s=list(range(1, len(words) + 1)),
        default_int64=0,
    )
