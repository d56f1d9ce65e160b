"""Export a user's estimator to ONNX, and check that the graph gives the same outputs.

Exporting an estimator that is known to be exportable belongs in `ml/models/trees/sklearn_base.py`.
"""

from __future__ import annotations

import copy
import io
import re
import warnings
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.models.base import Shape
from factory_assets.ml.models.onnx_nodes import graph_outputs, one_hot
from factory_assets.ml.models.trees.sklearn_base import estimator_graph
from factory_assets.spec.models import OwnModule
from factory_resources.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray


MAX_DIFFERENCE = 1e-3
"""A larger difference is not rounding: the graph computes something else. Deploy is stricter."""

EXPORTED_METHODS = ("predict", "predict_proba", "decision_function", "transform")
"""The methods that the exporter takes from scikit-learn's class; no subclass may override them."""


def custom_graph(estimator: Any, shape: Shape, spec: OwnModule) -> onnx.ModelProto:
    """Return the graph that `Model.graph` describes.

    Raises:
        ModelError: the estimator cannot be exported.
    """
    view = _as_sklearn_classes(estimator, spec)
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            # The exporter reads attributes that scikit-learn will remove.
            warnings.simplefilter("ignore")
            return estimator_graph(view, one_hot(shape), shape.task)
    except Exception as error:
        # skl2onnx raises exceptions of any type.
        raise _not_exportable(
            spec, f"{type(error).__name__}: {_first_sentence(str(error))}"
        ) from error


def _first_sentence(text: str) -> str:
    """Return it in one line; a point within a word, as in a dotted path, does not end it."""
    return " ".join(re.split(r"\.(?=\s|$)", text, maxsplit=1)[0].split())


def require_same_outputs(
    graph: onnx.ModelProto, inputs: Arrays, expected: NDArray[np.float64], spec: OwnModule
) -> None:
    """Raise ModelError if the graph does not run, or differs from the estimator's outputs."""
    try:
        outputs = graph_outputs(graph, inputs)
    except Exception as error:
        raise _not_exportable(spec, str(error)) from error
    difference = float(abs(outputs.reshape(expected.shape) - expected).max())
    if not difference <= MAX_DIFFERENCE:
        raise _not_exportable(spec, f"the graph's outputs differ by {difference:.2g}")


def _as_sklearn_classes(estimator: Any, spec: OwnModule) -> Any:
    """Return a copy whose user-defined subclasses are replaced by their scikit-learn classes.

    Raises:
        ModelError: such a subclass overrides a method that the exporter translates.
    """
    if hasattr(estimator, "steps"):
        view = copy.copy(estimator)
        view.steps = [(name, _as_sklearn_classes(step, spec)) for name, step in estimator.steps]
        return view
    if getattr(estimator, "flatten_transform", False):
        # The exporter refuses it, although it says only how a vote is given to another step.
        estimator = copy.copy(estimator).set_params(flatten_transform=False)
    estimator_class = type(estimator)
    base = next((cls for cls in estimator_class.__mro__ if _has_exporter(cls)), estimator_class)
    if base is estimator_class:
        return estimator
    for cls in estimator_class.__mro__[: estimator_class.__mro__.index(base)]:
        if overridden := [name for name in EXPORTED_METHODS if name in vars(cls)]:
            raise _not_exportable(spec, f"{cls.__name__} overrides {overridden[0]}")
    view = copy.copy(estimator)
    view.__class__ = base
    return view


def _has_exporter(cls: type) -> bool:
    """Whether the class has its own exporter, or is of scikit-learn outside `sklearn.base`."""
    return hasattr(cls, "onnx_converter") or (
        cls.__module__.startswith("sklearn.") and cls.__module__ != "sklearn.base"
    )


def _not_exportable(spec: OwnModule, reason: str) -> ModelError:
    return ModelError(
        f"{spec.python} cannot be exported to ONNX: {reason}",
        where="train.model.python",
        remedy="choose an estimator that skl2onnx can export",
    )
