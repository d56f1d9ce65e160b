"""The served graph with another front, for programs that read tables as pandas does.

In a data frame, an integer column with a missing value is a column of floats, and `2` becomes the
text `2.0`, which no vocabulary contains. So such a category is read as a number, and the front
finds its word. What follows is the served graph itself, which belongs in `onnx_export.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from factory_assets.ml.features.columns import is_number

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


MOST_COMPARED = 200
"""The most words with which each number is compared; whole numbers among more are looked up."""


def numeric_categories(rows: pa.Schema, words: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the categories whose values are numbers or booleans in the rows.

    Args:
        words: the vocabulary of every category.
    """
    from pyarrow.types import is_boolean

    kinds = {name: rows.field(name).type for name in words}
    return {
        name: list(words[name])
        for name, kind in kinds.items()
        if is_number(kind) or is_boolean(kind)
    }


def number_of(word: str) -> float:
    """Return the value that a word of a vocabulary stands for; booleans are 1 and 0."""
    return float({"true": "1", "false": "0"}.get(word, word))


def read_as_numbers(graph: bytes, words: Mapping[str, Sequence[str]]) -> bytes:
    """Return the graph with `double` [N, 1] in place of the text of some categories.

    A number that is not in the vocabulary, or missing, becomes the empty text, as when missing.

    Args:
        graph: the served graph.
        words: the vocabulary of each such category.
    """
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load_from_string(graph)
    inner = {name: f"_word_{i}" for i, name in enumerate(words)}
    for node in model.graph.node:
        node.input[:] = [inner.get(name, name) for name in node.input]
    for given in model.graph.input:
        if given.name in words:
            described = helper.make_tensor_value_info(given.name, TensorProto.DOUBLE, ["N", 1])
            given.CopyFrom(described)
    front = [
        node
        for name, word in inner.items()
        for node in _find_word(name, word, words[name], model.graph)
    ]
    body = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*front, *body])
    onnx.checker.check_model(model, full_check=True)
    served: bytes = model.SerializeToString(deterministic=True)
    return served


def _find_word(name: str, result: str, words: Sequence[str], graph: Any) -> list[Any]:
    """Return the nodes that find the word of each number; add their constants to the graph."""
    from onnx import numpy_helper

    def constant(suffix: str, values: NDArray[Any]) -> str:
        graph.initializer.append(numpy_helper.from_array(values, f"{result}_{suffix}"))
        return f"{result}_{suffix}"

    if len(words) > MOST_COMPARED and all(_is_exact(number_of(word)) for word in words):
        return _look_up(name, result, words, constant)
    return _compare(name, result, words, constant)


def _is_exact(value: float) -> bool:
    """Whether the value is whole, and no other whole number has the same 64 bits."""
    return value.is_integer() and abs(value) < 2**53


def _look_up(
    name: str, result: str, words: Sequence[str], constant: Callable[[str, NDArray[Any]], str]
) -> list[Any]:
    """Return the nodes that look up each whole number."""
    import numpy as np
    from onnx import TensorProto, helper

    node = helper.make_node
    return [
        node("Cast", [name], [f"{result}_whole"], to=TensorProto.INT64),
        node("Cast", [f"{result}_whole"], [f"{result}_back"], to=TensorProto.DOUBLE),
        node("Equal", [name, f"{result}_back"], [f"{result}_exact"]),
        node(
            "LabelEncoder",
            [f"{result}_whole"],
            [f"{result}_found"],
            domain="ai.onnx.ml",
            keys_int64s=[int(number_of(word)) for word in words],
            values_strings=list(words),
            default_string="",
        ),
        node(
            "Where",
            [f"{result}_exact", f"{result}_found", constant("none", np.array([""], dtype=object))],
            [result],
        ),
    ]


def _compare(
    name: str, result: str, words: Sequence[str], constant: Callable[[str, NDArray[Any]], str]
) -> list[Any]:
    """Return the nodes that compare each number with those of all words."""
    import numpy as np
    from onnx import TensorProto, helper

    known = np.array([[number_of(word) for word in words]], dtype=np.float64)
    texts = np.array(["", *words], dtype=object)
    node = helper.make_node
    return [
        node("Equal", [name, constant("known", known)], [f"{result}_equal"]),
        node("Cast", [f"{result}_equal"], [f"{result}_hits"], to=TensorProto.INT64),
        node(
            "Mul",
            [f"{result}_hits", constant("codes", np.arange(1, len(words) + 1, dtype=np.int64))],
            [f"{result}_code"],
        ),
        node(
            "ReduceMax",
            [f"{result}_code", constant("axis", np.array([1], dtype=np.int64))],
            [f"{result}_index"],
            keepdims=1,
        ),
        node("Gather", [constant("texts", texts), f"{result}_index"], [result], axis=0),
    ]
