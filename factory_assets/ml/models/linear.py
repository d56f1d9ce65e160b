"""Linear models: logistic regression for classes, ridge for numbers, fitted by scikit-learn."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from factory_assets.ml.features.arrays import Arrays, LabelledArrays
from factory_assets.ml.models.base import Fit, FitContext, Model, Shape
from factory_assets.ml.models.onnx_nodes import make_model, merge, one_hot
from factory_assets.spec.linear import Linear
from factory_assets.spec.train import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray
    from torch import nn


WIDEST = 1e30
"""Standard deviations beyond which a number of a row to judge counts as this many, so that one
absurd number does not end the judgement of all rows. What is served without limits refuses such a
row instead."""


@dataclass(frozen=True)
class InputLimits:
    """Of each column of the matrix, how small and how large a number counts: float32 [columns]."""

    lowest: NDArray[np.float32]
    highest: NDArray[np.float32]

    @classmethod
    def around(cls, matrix: NDArray[np.float32], extrapolation: float) -> Self:
        """Return limits that lie beyond the numbers of a matrix, by so many times their range."""
        import numpy as np

        lowest, highest = (end(axis=0).astype(np.float64) for end in (matrix.min, matrix.max))
        beyond = extrapolation * (highest - lowest)
        limits = (lowest - beyond).clip(-WIDEST), (highest + beyond).clip(max=WIDEST)
        return cls(*(limit.astype(np.float32) for limit in limits))

    @classmethod
    def widest(cls, columns: int) -> Self:
        """Return limits that only keep the sum finite."""
        import numpy as np

        limit = np.full(columns, WIDEST, np.float32)
        return cls(-limit, limit)


class LinearModel(Model):
    """`softmax(x W + b)` for classes, `x W + b` for numbers; stored as the arrays W and b.

    Each column of x is cut at its limits before, if there are any; they are stored as well.
    """

    scaled: ClassVar[bool] = True
    vocabulary: ClassVar[int] = 50
    statistics: ClassVar[bool] = True

    def __init__(
        self,
        shape: Shape,
        weights: NDArray[np.float32],
        bias: NDArray[np.float32],
        limits: InputLimits | None = None,
    ) -> None:
        self._shape, self._weights, self._bias = shape, weights, bias
        self._limits = limits

    @classmethod
    def fit(cls, context: FitContext, train: LabelledArrays, validation: LabelledArrays) -> Fit:
        import warnings

        import numpy as np
        from sklearn.exceptions import ConvergenceWarning

        spec = cast(Linear, context.spec)
        estimator = _estimator(spec, context)
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
        reach = spec.extrapolation
        limits = None if reach is None else InputLimits.around(matrix, reach)
        return Fit(cls(context.shape, np.ascontiguousarray(weights), bias, limits))

    def outputs(self, inputs: Arrays) -> NDArray[np.float64]:
        import numpy as np

        scores = (self.matrix(inputs) @ self._weights + self._bias).astype(np.float64)
        if self._shape.task == "regression":
            return scores[:, 0]
        exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float64] = exponents / exponents.sum(axis=1, keepdims=True)
        return probabilities

    def matrix(self, inputs: Arrays) -> NDArray[np.float32]:
        """Return what the weights are multiplied with: numbers within their limits, one-hot codes.

        Returns:
            float32 [rows, columns].
        """
        limits = self._limits or InputLimits.widest(len(self._weights))
        matrix = inputs.one_hot(self._shape.cardinalities)
        return matrix.clip(limits.lowest, limits.highest)

    def layer(self) -> nn.Linear:
        """Return the model as a torch layer: its matrix to logits or standardised numbers."""
        import torch

        layer = torch.nn.Linear(*self._weights.shape)
        state = {"weight": self._weights.T.copy(), "bias": self._bias.copy()}
        layer.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
        return layer

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        arrays = {"weights": self._weights, "bias": self._bias}
        limits = asdict(self._limits) if self._limits else {}
        save_file(arrays | limits, folder / "weights.safetensors")

    @classmethod
    def load(cls, spec: ModelSpec, shape: Shape, files: Path, folder: Path) -> Self:
        from safetensors.numpy import load_file

        arrays = load_file(files / "weights.safetensors")
        weights, bias = arrays.pop("weights"), arrays.pop("bias")
        return cls(shape, weights, bias, InputLimits(**arrays) if arrays else None)

    def graph(self) -> onnx.ModelProto:
        from onnx import TensorProto, helper, numpy_helper

        classes = self._shape.task != "regression"
        raw = "raw" if classes else "outputs"
        constants, nodes, read = {"weights": self._weights, "bias": self._bias}, [], "matrix"
        if self._limits:
            constants |= asdict(self._limits)
            nodes.append(helper.make_node("Max", ["matrix", "lowest"], ["raised"]))
            nodes.append(helper.make_node("Min", ["raised", "highest"], ["limited"]))
            read = "limited"
        nodes.append(helper.make_node("Gemm", [read, "weights", "bias"], [raw]))
        if classes:
            nodes.append(helper.make_node("Softmax", [raw], ["outputs"], axis=1))
        describe = helper.make_tensor_value_info
        body = make_model(
            nodes,
            [describe("matrix", TensorProto.FLOAT, ["N", len(self._weights)])],
            [describe("outputs", TensorProto.FLOAT, ["N", self._shape.outputs])],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
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
