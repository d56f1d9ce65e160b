"""The graph of networks that share weights computes what they compute."""

import numpy as np
import pytest
import torch

from factory_assets.ml.models.base import Shape
from factory_assets.ml.models.networks.modules.ensemble import ensemble
from factory_assets.ml.models.networks.modules.tabm import TabmModule
from factory_assets.ml.models.networks.tabm_model import TabmModel
from tests.factory_assets.ml.models.networks.test_mlp_export import CLASSES, NUMBER, ROWS, rows, run


def tabm(shape: Shape) -> TabmModule:
    module = TabmModule(
        shape.numbers,
        shape.cardinalities,
        shape.outputs,
        members=4,
        hidden=(8, 4),
        dropout=0.1,
        bins=5,
        embedding=3,
    )
    torch.nn.init.normal_(module.numbers.bends)
    inputs = rows(shape)
    numbers, codes = torch.from_numpy(inputs.numbers), torch.from_numpy(inputs.codes)
    module.fit_inputs((numbers, codes, torch.empty(ROWS)))
    return module.eval()


@pytest.mark.parametrize("networks", [1, 2])
@pytest.mark.parametrize(
    "shape",
    [CLASSES, NUMBER, Shape("binary", 2, (), 2), Shape("regression", 0, (3,), 1)],
    ids=["numbers and categories", "a number to predict", "numbers alone", "categories alone"],
)
def test_the_graph_computes_the_same(shape: Shape, networks: int) -> None:
    torch.manual_seed(1)
    whole = ensemble([tabm(shape) for _ in range(networks)], shape)
    model, inputs = TabmModel(shape, whole), rows(shape)
    expected = model.outputs(inputs).reshape(ROWS, shape.outputs)
    np.testing.assert_allclose(run(model.graph(), inputs), expected, atol=1e-5)
    one_row = inputs.take([7])
    np.testing.assert_allclose(run(model.graph(), one_row), expected[[7]], atol=1e-5)


def test_the_graph_has_one_copy_of_the_shared_weights() -> None:
    weights = sum(p.numel() for p in tabm(CLASSES).parameters())
    graph = TabmModel(CLASSES, tabm(CLASSES)).graph()
    numbers = sum(int(np.prod(one.dims)) for one in graph.graph.initializer)
    assert numbers < weights + 100
