"""Rows in the encoding that all members of a portfolio share, as a single member reads them.

How columns become arrays belongs in `ml.features`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.models.base import Model, Shape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def encoded_for(member: type[Model], shape: Shape, inputs: Arrays) -> Arrays:
    """Return rows in the encoding of a blend as one of its members reads them."""
    import numpy as np

    if not member.scaled or not shape.scales:
        return inputs
    mean, sd = np.array(shape.scales, dtype=np.float32).T
    numbers = inputs.numbers.copy()
    numbers[:, : len(mean)] -= mean
    numbers[:, : len(mean)] /= sd
    return replace(inputs, numbers=numbers)


def scaling_nodes(shape: Shape) -> tuple[list[Any], list[Any]]:
    """Return the ONNX nodes that turn `numbers` into `standardised`, and their constants."""
    import numpy as np
    from onnx import helper, numpy_helper

    if not shape.numbers:
        return [], []
    means, sds = np.zeros(shape.numbers, np.float32), np.ones(shape.numbers, np.float32)
    if shape.scales:
        means[: len(shape.scales)], sds[: len(shape.scales)] = np.array(shape.scales, "f4").T
    nodes = [
        helper.make_node("Sub", ["numbers", "means"], ["centred"]),
        helper.make_node("Div", ["centred", "sds"], ["standardised"]),
    ]
    return nodes, [numpy_helper.from_array(means, "means"), numpy_helper.from_array(sds, "sds")]


def member_outputs(shape: Shape, member: Model, inputs: Arrays) -> NDArray[np.float64]:
    """Return the outputs of a member for rows in the shared encoding; see `Model.outputs`."""
    return member.outputs(encoded_for(type(member), shape, inputs))
