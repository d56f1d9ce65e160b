"""The graph of a network for tables computes what the network computes."""

from typing import Literal

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.models.base import Shape
from factory_assets.ml.models.networks.mlp_export import mlp_members
from factory_assets.ml.models.networks.model import NetworkModel
from factory_assets.ml.models.networks.modules.ensemble import ensemble
from factory_assets.ml.models.networks.modules.mlp import MlpModule
from factory_assets.ml.models.networks.onnx_export import export_network
from factory_resources.errors import ModelError

ROWS = 500
CLASSES, NUMBER = Shape("multiclass", 3, (4, 5), 3), Shape("regression", 3, (4, 5), 1)


def mlp(shape: Shape, activation: Literal["relu", "gelu"] = "relu") -> MlpModule:
    sizes = (shape.numbers, shape.cardinalities, shape.outputs)
    return MlpModule(*sizes, hidden=(8, 4), dropout=0.1, activation=activation).eval()


def rows(shape: Shape) -> Arrays:
    """Rows with numbers beyond the limits to which the network clips them."""
    generator = np.random.default_rng(0)
    codes = [generator.integers(0, size, ROWS) for size in shape.cardinalities]
    return Arrays(
        generator.normal(0, 20, (ROWS, shape.numbers)).astype(np.float32),
        np.stack(codes, axis=1) if codes else np.zeros((ROWS, 0), np.int64),
    )


def run(graph: onnx.ModelProto, inputs: Arrays) -> np.ndarray:
    onnx.checker.check_model(graph, full_check=True)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    given = {"numbers": inputs.numbers, "codes": inputs.codes}
    wanted = {value.name: given[value.name] for value in session.get_inputs()}
    return np.asarray(session.run(None, wanted)[0])


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize(
    "shape",
    [CLASSES, NUMBER, Shape("binary", 2, (), 2), Shape("regression", 0, (3,), 1)],
    ids=["numbers and categories", "a number to predict", "numbers alone", "categories alone"],
)
def test_the_graph_computes_the_same(
    shape: Shape, members: int, activation: Literal["relu", "gelu"]
) -> None:
    torch.manual_seed(1)
    network = ensemble([mlp(shape, activation) for _ in range(members)], shape)
    model, inputs = NetworkModel(shape, network), rows(shape)
    expected = model.outputs(inputs).reshape(ROWS, shape.outputs)
    np.testing.assert_allclose(run(model.graph(), inputs), expected, atol=1e-5)


def test_it_is_the_graph_that_torch_exports() -> None:
    torch.manual_seed(1)
    network, inputs = mlp(CLASSES), rows(CLASSES)
    ours = run(NetworkModel(CLASSES, network).graph(), inputs)
    assert (ours == run(export_network(network, CLASSES), inputs)).all()


def test_a_network_that_cannot_be_exported_is_told_by_its_cause_alone(
    capfd: pytest.CaptureFixture[str],
) -> None:
    class Deciding(torch.nn.Linear):
        def forward(self, numbers: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
            outputs = super().forward(numbers)
            return outputs * 2 if outputs.sum() > 0 else outputs

    cause = r"to ONNX: Could not guard on data-dependent expression .* values of a tensor$"
    with pytest.raises(ModelError, match=cause) as caught:
        export_network(Deciding(3, 2), Shape("binary", 3, (), 2))
    assert "step 1/3" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_subclass_is_left_to_torch() -> None:
    class Doubled(MlpModule):
        def forward(self, numbers: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
            return 2 * super().forward(numbers, codes)

    own = Doubled(3, (4, 5), 3, hidden=(8,), dropout=0, activation="relu").eval()
    assert mlp_members(own) == ()
    assert mlp_members(ensemble([own, mlp(CLASSES)], CLASSES)) == ()
    inputs = rows(CLASSES)
    model = NetworkModel(CLASSES, own)
    np.testing.assert_allclose(run(model.graph(), inputs), model.outputs(inputs), atol=1e-5)
