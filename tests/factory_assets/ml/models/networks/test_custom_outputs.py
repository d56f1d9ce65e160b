"""The checks of a user's network: its graph runs, and gives the same outputs."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.models.networks.custom_outputs import require_custom_graph
from factory_assets.ml.models.onnx_nodes import make_model
from factory_assets.spec.models import OwnModule
from factory_resources.errors import ModelError


def test_a_graph_that_onnx_runtime_does_not_load_is_not_exported() -> None:
    node = helper.make_node("NoSuchOperation", ["numbers"], ["outputs"])
    given, returned = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1])
        for name in ("numbers", "outputs")
    )
    rows = Arrays(np.zeros((2, 1), np.float32), np.zeros((2, 0), np.int64))
    graph, spec = make_model([node], [given], [returned]), OwnModule(python="net:Odd")
    with pytest.raises(ModelError, match=r"net:Odd cannot be exported.* for 2 rows.*NoSuchOperat"):
        require_custom_graph(graph, lambda few: np.zeros(len(few)), rows, spec)
