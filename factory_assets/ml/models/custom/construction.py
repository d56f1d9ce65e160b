"""Build a user's estimator reproducibly, and report its errors in one line.

Fitting it belongs in `estimator.py`, storing it in `serialization.py`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from factory_assets.ml.models.base import FitContext
from factory_assets.spec.models import OwnModule
from factory_resources.errors import ModelError
from factory_resources.user_code import load_object

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


SAMPLE_ROWS = 2_000
"""Rows of the trial fit before the training; with classes, an equal share of each."""


def build_estimator(spec: OwnModule, context: FitContext) -> Any:
    """Return the unfitted estimator, with a seed for every `random_state` that has none.

    Raises:
        ModelError: it is not an estimator, or not one for the task.
    """
    user_object = load_object(spec.python, context.folder)
    with custom_errors(spec):
        estimator = user_object(**spec.args)
    _require_estimator_of_task(estimator, spec, regression=context.shape.task == "regression")
    seeds = {
        name: context.seed % 2**32
        for name, value in estimator.get_params().items()
        if name.rpartition("__")[2] == "random_state" and value is None
    }
    estimator.set_params(**seeds)
    return estimator


def weight_arguments(
    estimator: Any, spec: OwnModule, weights: NDArray[np.float64] | None
) -> dict[str, NDArray[np.float64]]:
    """Return the keyword argument of `fit` with the row weights; empty if `weights` is None.

    Raises:
        ModelError: the estimator does not accept weights.
    """
    from sklearn.utils.validation import has_fit_parameter

    if weights is None:
        return {}
    steps = getattr(estimator, "steps", None)
    last = steps[-1][1] if steps else estimator
    if not has_fit_parameter(last, "sample_weight"):
        raise ModelError(
            f"{spec.python} does not accept sample_weight, so its classes cannot be balanced",
            where="train.class_weights",
            remedy="leave class_weights out, or choose another estimator",
        )
    return {f"{steps[-1][0]}__sample_weight" if steps else "sample_weight": weights}


def limit_to_one_core(estimator: Any) -> None:
    """Limit a fitted estimator to one core: threads would add up in a different order each time."""
    names = [name for name in estimator.get_params() if name.rpartition("__")[2] == "n_jobs"]
    estimator.set_params(**dict.fromkeys(names, 1))
    for part in getattr(estimator, "estimators_", ()):
        if hasattr(part, "n_jobs"):
            part.n_jobs = 1


def small_sample(target: NDArray[Any], *, classes: bool) -> NDArray[np.int64]:
    """Return the indices of at most about `SAMPLE_ROWS` rows; with classes, the first of each."""
    import numpy as np

    if len(target) <= SAMPLE_ROWS:
        return np.arange(len(target))
    if not classes:
        return np.arange(SAMPLE_ROWS)
    codes = np.unique(target)
    each = max(2, SAMPLE_ROWS // len(codes))
    return np.sort(np.concatenate([np.flatnonzero(target == code)[:each] for code in codes]))


@contextmanager
def custom_errors(spec: OwnModule) -> Iterator[None]:
    """Reduce the exceptions of the user's estimator to one line; silence its warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        raise ModelError(
            f"{spec.python} failed: {type(error).__name__}: {error}",
            where="train.model",
            remedy="correct the estimator, or train.model.args",
        ) from error


def require_predicting(estimator: Any, spec: OwnModule, *, regression: bool) -> None:
    """Raise ModelError if a fitted estimator cannot predict what the task needs."""
    name = _predicting(regression=regression)
    if not hasattr(estimator, name):
        raise _lacking(name, estimator, spec)


def _predicting(*, regression: bool) -> str:
    return "predict" if regression else "predict_proba"


def _lacking(name: str, estimator: Any, spec: OwnModule) -> ModelError:
    from sklearn.base import is_regressor

    what = "numbers" if name == "predict" else "probabilities"
    of_numbers = ", or set train.task: regression" * (name != "predict" and is_regressor(estimator))
    return ModelError(
        f"{spec.python} has no {name}",
        where="train.model.python",
        remedy=f"name a scikit-learn estimator that predicts {what}{of_numbers}",
    )


def _require_estimator_of_task(estimator: Any, spec: OwnModule, *, regression: bool) -> None:
    from sklearn.base import is_classifier, is_regressor

    for name in ("fit", _predicting(regression=regression), "get_params", "set_params"):
        # A stack of estimators has those of its last one, which is there once it is fitted.
        if not hasattr(estimator, name) and not hasattr(type(estimator), name):
            raise _lacking(name, estimator, spec)
    if not (is_regressor(estimator) if regression else is_classifier(estimator)):
        expected = "regressor" if regression else "classifier"
        raise ModelError(
            f"{spec.python} is not a {expected}, but train.target needs one",
            where="train.model.python",
            remedy=f"name a {expected}, or set train.task",
        )
