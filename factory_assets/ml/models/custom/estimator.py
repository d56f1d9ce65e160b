"""A scikit-learn estimator that the user names by dotted path.

It is scikit-learn's own, a user's subclass of one, or a pipeline of them. A trial fit on a few rows
reports before the training if it cannot be stored or exported. Building it belongs in
`construction.py`, storing it in `serialization.py`, exporting it in `onnx_export.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from factory_assets.ml.features.arrays import Arrays, LabelledArrays
from factory_assets.ml.models.base import Fit, FitContext, Shape
from factory_assets.ml.models.custom import serialization
from factory_assets.ml.models.custom.construction import (
    build_estimator,
    custom_errors,
    limit_to_one_core,
    require_predicting,
    small_sample,
    weight_arguments,
)
from factory_assets.ml.models.custom.onnx_export import custom_graph, require_same_outputs
from factory_assets.ml.models.trees.gradient_boosting import narrow_thresholds
from factory_assets.ml.models.trees.sklearn_base import FILE, EstimatorModel
from factory_assets.spec.models import OwnModule
from factory_assets.spec.train import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray


class CustomEstimatorModel(EstimatorModel):
    """The user's estimator over scaled numbers and one-hot categories."""

    scaled: ClassVar[bool] = True
    statistics: ClassVar[bool] = False

    def __init__(self, shape: Shape, estimator: Any, spec: OwnModule, folder: Path) -> None:
        super().__init__(shape, estimator)
        self._spec, self._folder = spec, folder

    @classmethod
    def fit(cls, context: FitContext, train: LabelledArrays, validation: LabelledArrays) -> Fit:
        rows = small_sample(train.target, classes=context.shape.task != "regression")
        sample = train.take(rows)
        if len(sample) < len(train):
            cls._fit_on(context, sample)._require_storable(sample.inputs)
        model = cls._fit_on(context, train)
        model._require_storable(sample.inputs)
        return Fit(model)

    @classmethod
    def _fit_on(cls, context: FitContext, rows: LabelledArrays) -> Self:
        spec = cast(OwnModule, context.spec)
        estimator = build_estimator(spec, context)
        weights = weight_arguments(estimator, spec, context.sample_weights(rows.target))
        with custom_errors(spec):
            estimator.fit(rows.inputs.one_hot(context.shape.cardinalities), rows.target, **weights)
        require_predicting(estimator, spec, regression=context.shape.task == "regression")
        limit_to_one_core(estimator)
        if hasattr(estimator, "_predictors"):
            narrow_thresholds(estimator)
        return cls(context.shape, estimator, spec, context.folder)

    def _require_storable(self, inputs: Arrays) -> None:
        """Raise ModelError if the model cannot be stored or exported, or the export differs."""
        serialization.dump_estimator(self._estimator, self._spec, self._folder)
        require_same_outputs(self.graph(), inputs, self.outputs(inputs), self._spec)

    def outputs(self, inputs: Arrays) -> NDArray[np.float64]:
        with custom_errors(self._spec):
            outputs = super().outputs(inputs)
        return outputs.reshape(-1) if self._shape.task == "regression" else outputs

    def save(self, folder: Path) -> None:
        content = serialization.dump_estimator(self._estimator, self._spec, self._folder)
        (folder / FILE).write_bytes(content)

    @classmethod
    def load(cls, spec: ModelSpec, shape: Shape, files: Path, folder: Path) -> Self:
        declared = cast(OwnModule, spec)
        estimator = serialization.load_estimator((files / FILE).read_bytes(), declared, folder)
        return cls(shape, estimator, declared, folder)

    def graph(self) -> onnx.ModelProto:
        return custom_graph(self._estimator, self._shape, self._spec)

    @property
    def parameters(self) -> int:
        return serialization.count_numbers(
            serialization.dump_estimator(self._estimator, self._spec, self._folder)
        )
