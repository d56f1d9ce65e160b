"""A scikit-learn estimator by dotted path: scikit-learn's own, a user's subclass of one, or a
pipeline of them.

It is rehearsed on a few rows, so that what can be neither kept nor exported is said before the
training. How it is built and fitted is here; how it is kept without pickle, in `own_kept.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from factory_assets.ml.features.arrays import Arrays, LabelledArrays
from factory_assets.ml.models.base import Fit, FitContext, Shape
from factory_assets.ml.models.custom import serialization
from factory_assets.ml.models.custom.construction import (
    built,
    by_one_core,
    custom_errors,
    few_rows,
    weights_of,
)
from factory_assets.ml.models.custom.onnx_export import custom_graph, require_same
from factory_assets.ml.models.trees.gradient_boosting import narrow_thresholds
from factory_assets.ml.models.trees.sklearn_base import FILE, EstimatorModel
from factory_assets.spec.models import Network, OwnModule
from factory_assets.spec.train import ModelSpec
from factory_resources.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray


class CustomEstimatorModel(EstimatorModel):
    """What the user named, over scaled numbers and one-hot names."""

    scaled: ClassVar[bool] = True

    def __init__(self, shape: Shape, estimator: Any, spec: OwnModule, folder: Path) -> None:
        super().__init__(shape, estimator)
        self._spec, self._folder = spec, folder

    @classmethod
    def fit(cls, setting: FitContext, train: LabelledArrays, validation: LabelledArrays) -> Fit:
        _require_no_settings_of_networks(cast(OwnModule, setting.spec))
        places = few_rows(train.target, classes=setting.shape.task != "regression")
        few = LabelledArrays(_take(train.inputs, places), train.target[places])
        if len(few) < len(train):
            cls._learn(setting, few)._prove(few.inputs)
        model = cls._learn(setting, train)
        model._prove(few.inputs)
        return Fit(model)

    @classmethod
    def _learn(cls, setting: FitContext, rows: LabelledArrays) -> Self:
        spec = cast(OwnModule, setting.spec)
        estimator = built(spec, setting)
        weights = weights_of(estimator, spec, setting.sample_weights(rows.target))
        with custom_errors(spec):
            estimator.fit(rows.inputs.one_hot(setting.shape.cardinalities), rows.target, **weights)
        by_one_core(estimator)
        if hasattr(estimator, "_predictors"):
            narrow_thresholds(estimator)
        return cls(setting.shape, estimator, spec, setting.folder)

    def _prove(self, inputs: Arrays) -> None:
        """Raises ModelError when it cannot be kept, or exported, or says something else then."""
        serialization.dumped(self._estimator, self._spec, self._folder)
        require_same(self.graph(), inputs, self.outputs(inputs), self._spec)

    def outputs(self, inputs: Arrays) -> NDArray[np.float64]:
        with custom_errors(self._spec):
            found = super().outputs(inputs)
        return found.reshape(-1) if self._shape.task == "regression" else found

    def save(self, folder: Path) -> None:
        content = serialization.dumped(self._estimator, self._spec, self._folder)
        (folder / FILE).write_bytes(content)

    @classmethod
    def load(cls, spec: ModelSpec, shape: Shape, files: Path, folder: Path) -> Self:
        own = cast(OwnModule, spec)
        estimator = serialization.loaded((files / FILE).read_bytes(), own, folder)
        return cls(shape, estimator, own, folder)

    def graph(self) -> onnx.ModelProto:
        return custom_graph(self._estimator, self._shape, self._spec)

    @property
    def parameters(self) -> int:
        return serialization.numbers_in(
            serialization.dumped(self._estimator, self._spec, self._folder)
        )


def _take(inputs: Arrays, rows: NDArray[np.int64]) -> Arrays:
    return Arrays(inputs.numbers[rows], inputs.codes[rows])


def _require_no_settings_of_networks(spec: OwnModule) -> None:
    for name, field in Network.model_fields.items():
        if getattr(spec, name) != field.default:
            raise ModelError(
                f"{name} says how networks are trained, and {spec.python} is none",
                where="train.model",
                remedy="give the estimator its settings in args",
            )
