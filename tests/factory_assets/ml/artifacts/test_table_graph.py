"""A category of numbers read as numbers gives what its words give in the served graph."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.artifacts.table_graph import numeric_categories, read_as_numbers

WORDS = {
    "level": ["12", "-3", "0"],
    "share": ["0.1", "1", "1e+20"],
    "open": ["true", "false"],
}


def served() -> bytes:
    """Return a graph that adds up the codes of its categories, one of which stays text."""
    from onnx import TensorProto, helper

    nodes, inputs = [], []
    for i, (name, words) in enumerate({**WORDS, "colour": ["red"]}.items()):
        inputs.append(helper.make_tensor_value_info(name, TensorProto.STRING, ["N", 1]))
        encode = {
            "keys_strings": words,
            "values_int64s": [10**i * code for code in range(1, len(words) + 1)],
            "default_int64": 0,
        }
        nodes.append(
            helper.make_node("LabelEncoder", [name], [f"_{i}"], domain="ai.onnx.ml", **encode)
        )
    nodes += [
        helper.make_node("Concat", [f"_{i}" for i in range(len(inputs))], ["_all"], axis=1),
        helper.make_node("Cast", ["_all"], ["_numbers"], to=TensorProto.DOUBLE),
        helper.make_node("ReduceSum", ["_numbers"], ["codes"], keepdims=1),
    ]
    # Summed over both axes: one row at a time.
    output = helper.make_tensor_value_info("codes", TensorProto.DOUBLE, [1, 1])
    graph = helper.make_graph(nodes, "served", inputs, [output])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    made: bytes = helper.make_model(graph, ir_version=9, opset_imports=opsets).SerializeToString()
    return made


def code(graph: bytes, **values: Any) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    feed = {name: np.array([[value]]) for name, value in values.items()}
    return float(session.run(None, feed)[0].item())


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((12.0, 0.1, 1.0), ("12", "0.1", "true")),
        ((-3.0, 1.0, 0.0), ("-3", "1", "false")),
        ((-0.0, 1e20, float("nan")), ("0", "1e+20", "")),
        ((float("nan"), float("nan"), 1.0), ("", "", "true")),
        ((12.5, float("inf"), 2.0), ("unseen", "unseen", "unseen")),
    ],
)
def test_numbers_are_read_like_their_words(
    numbers: tuple[float, ...], words: tuple[str, ...]
) -> None:
    names = tuple(WORDS)
    expected = code(served(), **dict(zip(names, words, strict=True)), colour="red")
    graph = read_as_numbers(served(), WORDS)
    assert code(graph, **dict(zip(names, numbers, strict=True)), colour="red") == expected


def test_the_same_graph_comes_out_twice() -> None:
    assert read_as_numbers(served(), WORDS) == read_as_numbers(served(), WORDS)


def test_only_categories_that_hold_numbers_are_numeric() -> None:
    rows = pa.schema(
        {"level": pa.int64(), "share": pa.float64(), "open": pa.bool_(), "colour": pa.string()}
    )
    words = {**WORDS, "colour": ["red", "1"]}
    assert numeric_categories(rows, words) == WORDS
