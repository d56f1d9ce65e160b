"""Linear models: logistic regression for classes, ridge for numbers, fitted by scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from factory_assets.ml.features.arrays import Arrays, LabelledArrays
from factory_assets.ml.models.base import Fit, FitContext, Model, Shape
from factory_assets.ml.models.onnx_nodes import make_model, merge, one_hot
from factory_assets.spec.models import Linear
from factory_assets.spec.train import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray
    from torch import nn


WIDEST = 1e30
"""Standard deviations beyond which a number of a row to judge counts as this many, so that one
absurd number does not end the judgement of all rows. What is served refuses such a row instead."""


class LinearModel(Model):
    """`softmax(x W + b)` for classes, `x W + b` for numbers; stored as the arrays W and b."""

    scaled: ClassVar[bool] = True
    vocabulary: ClassVar[int] = 50
    statistics: ClassVar[bool] = True

    def __init__(
        self, shape: Shape, weights: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> None:
        self._shape, self._weights, self._bias = shape, weights, bias

    @classmethod
    def fit(cls, context: FitContext, train: LabelledArrays, validation: LabelledArrays) -> Fit:
        import warnings

        import numpy as np
        from sklearn.exceptions import ConvergenceWarning

        estimator = _estimator(cast(Linear, context.spec), context)
        matrix = train.inputs.one_hot(context.shape.cardinalities)
        with warnings.catch_warnings():
            # Separable classes never converge fully; the penalty keeps the weights bounded.
            warnings.simplefilter("ignore", ConvergenceWarning)
            estimator.fit(matrix, train.target, sample_weight=context.sample_weights(train.target))
        weights = np.atleast_2d(estimator.coef_).T.astype(np.float32)
        bias = np.atleast_1d(estimator.intercept_).astype(np.float32)
        if context.shape.outputs == 2:
            # softmax of (0, z) is the logistic function of z.
            weights, bias = np.pad(weights, ((0, 0), (1, 0))), np.pad(bias, (1, 0))
        return Fit(cls(context.shape, np.ascontiguousarray(weights), bias))

    def outputs(self, inputs: Arrays) -> NDArray[np.float64]:
        import numpy as np

        matrix = inputs.one_hot(self._shape.cardinalities).clip(-WIDEST, WIDEST)
        scores = (matrix @ self._weights + self._bias).astype(np.float64)
        if self._shape.task == "regression":
            return scores[:, 0]
        exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float64] = exponents / exponents.sum(axis=1, keepdims=True)
        return probabilities

    @property
    def cardinalities(self) -> tuple[int, ...]:
        return self._shape.cardinalities

    def layer(self) -> nn.Linear:
        """Return the model as a torch layer: one-hot matrix to logits or standardised numbers."""
        import torch

        layer = torch.nn.Linear(*self._weights.shape)
        state = {"weight": self._weights.T.copy(), "bias": self._bias.copy()}
        layer.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
        return layer

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        save_file({"weights": self._weights, "bias": self._bias}, folder / "weights.safetensors")

    @classmethod
    def load(cls, spec: ModelSpec, shape: Shape, files: Path, folder: Path) -> Self:
        from safetensors.numpy import load_file

        arrays = load_file(files / "weights.safetensors")
        return cls(shape, arrays["weights"], arrays["bias"])

    def graph(self) -> onnx.ModelProto:
        from onnx import TensorProto, helper, numpy_helper

        classes = self._shape.task != "regression"
        raw = "raw" if classes else "outputs"
        nodes = [helper.make_node("Gemm", ["matrix", "weights", "bias"], [raw])]
        if classes:
            nodes.append(helper.make_node("Softmax", [raw], ["outputs"], axis=1))
        describe = helper.make_tensor_value_info
        body = make_model(
            nodes,
            [describe("matrix", TensorProto.FLOAT, ["N", len(self._weights)])],
            [describe("outputs", TensorProto.FLOAT, ["N", self._shape.outputs])],
            [
                numpy_helper.from_array(self._weights, "weights"),
                numpy_helper.from_array(self._bias, "bias"),
            ],
        )
        return merge(one_hot(self._shape), body, {"matrix": "matrix"})

    @property
    def parameters(self) -> int:
        return int(self._weights.size + self._bias.size)


def _estimator(spec: Linear, context: FitContext) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge

    if context.shape.task == "regression":
        return Ridge(alpha=spec.regularisation)
    return LogisticRegression(C=1 / spec.regularisation, max_iter=500)
