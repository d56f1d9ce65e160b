"""A user's estimator as ONNX: what of it can be exported, and whether the graph says the same."""

from __future__ import annotations

import copy
import io
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.models.base import Shape
from factory_assets.ml.models.trees.sklearn_base import estimator_graph
from factory_assets.spec.models import OwnModule
from factory_resources.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray


GROSS = 1e-3
"""A difference that is no rounding: the exporter computes something else. Deploy is stricter."""

ANSWERS = ("predict", "predict_proba", "decision_function", "transform")
"""The methods that an exporter takes from scikit-learn's class."""


def custom_graph(estimator: Any, shape: Shape, spec: OwnModule) -> onnx.ModelProto:
    """What `Model.graph` promises.

    Raises:
        ModelError: when it cannot be exported.
    """
    view = _as_exported(estimator, spec)
    try:
        with redirect_stdout(io.StringIO()):
            return estimator_graph(view, shape)
    except Exception as error:
        # Its exporters raise whatever their code meets.
        raise _no_export(spec, f"{type(error).__name__}: {str(error).partition('.')[0]}") from error


def require_same(
    graph: onnx.ModelProto, inputs: Arrays, expected: NDArray[np.float64], spec: OwnModule
) -> None:
    """Raises ModelError when the graph cannot run, or says something else than the estimator."""
    import onnxruntime

    feed = {"numbers": inputs.numbers, "codes": inputs.codes}
    try:
        session = onnxruntime.InferenceSession(graph.SerializeToString())
        said = session.run(None, {value.name: feed[value.name] for value in session.get_inputs()})
    except Exception as error:
        raise _no_export(spec, str(error)) from error
    difference = float(abs(said[0].reshape(expected.shape) - expected).max())
    if not difference <= GROSS:
        raise _no_export(spec, f"the graph's outputs differ by {difference:.2g}")


def _as_exported(estimator: Any, spec: OwnModule) -> Any:
    """The same with the user's subclasses as the classes of scikit-learn that they are.

    Raises:
        ModelError: when such a class answers by code of its own.
    """
    if hasattr(estimator, "steps"):
        view = copy.copy(estimator)
        view.steps = [(name, _as_exported(step, spec)) for name, step in estimator.steps]
        return view
    own = type(estimator)
    base = next((cls for cls in own.__mro__ if _exports(cls)), own)
    if base is own:
        return estimator
    for cls in own.__mro__[: own.__mro__.index(base)]:
        if changed := [name for name in ANSWERS if name in vars(cls)]:
            raise _no_export(spec, f"{cls.__name__} has a {changed[0]} of its own")
    view = copy.copy(estimator)
    view.__class__ = base
    return view


def _exports(cls: type) -> bool:
    """Whether it brings its own exporter, or is a public class of scikit-learn."""
    return hasattr(cls, "onnx_converter") or (
        cls.__module__.startswith("sklearn.") and cls.__module__ != "sklearn.base"
    )


def _no_export(spec: OwnModule, why: str) -> ModelError:
    return ModelError(
        f"{spec.python} cannot be exported to ONNX: {why}",
        where="train.model.python",
        remedy="choose an estimator that skl2onnx exports",
    )
