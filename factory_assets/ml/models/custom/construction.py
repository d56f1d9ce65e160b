"""How a user's estimator is built, the same way every time, and its mistakes in one line."""

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


FEW = 2_000
"""Rows of a rehearsal, or of each class where a class has fewer than its share."""


def built(spec: OwnModule, setting: FitContext) -> Any:
    """The unfitted estimator, seeded wherever it draws and was given no seed.

    Raises:
        ModelError: when it is none, or does not fit the task.
    """
    own = load_object(spec.python, setting.folder)
    with custom_errors(spec):
        estimator = own(**spec.args)
    _require_fitting(estimator, spec, regression=setting.shape.task == "regression")
    seeds = {
        name: setting.seed % 2**32
        for name, value in estimator.get_params().items()
        if name.rpartition("__")[2] == "random_state" and value is None
    }
    estimator.set_params(**seeds)
    return estimator


def weights_of(
    estimator: Any, spec: OwnModule, weights: NDArray[np.float64] | None
) -> dict[str, NDArray[np.float64]]:
    """The keyword by which it takes weights of rows, where there are any.

    Raises:
        ModelError: when it takes none.
    """
    from sklearn.utils.validation import has_fit_parameter

    if weights is None:
        return {}
    steps = getattr(estimator, "steps", None)
    last = steps[-1][1] if steps else estimator
    if not has_fit_parameter(last, "sample_weight"):
        raise ModelError(
            f"{spec.python} takes no sample_weight, so that classes cannot be balanced",
            where="train.class_weights",
            remedy="leave class_weights out, or choose another estimator",
        )
    return {f"{steps[-1][0]}__sample_weight" if steps else "sample_weight": weights}


def by_one_core(estimator: Any) -> None:
    """From now on: threads add up in another order each time."""
    names = [name for name in estimator.get_params() if name.rpartition("__")[2] == "n_jobs"]
    estimator.set_params(**dict.fromkeys(names, 1))
    for part in getattr(estimator, "estimators_", ()):
        if hasattr(part, "n_jobs"):
            part.n_jobs = 1


def few_rows(target: NDArray[Any], *, classes: bool) -> NDArray[np.int64]:
    """Places of some rows, the first ones of every class."""
    import numpy as np

    if len(target) <= FEW:
        return np.arange(len(target))
    if not classes:
        return np.arange(FEW)
    codes = np.unique(target)
    each = max(2, FEW // len(codes))
    return np.sort(np.concatenate([np.flatnonzero(target == code)[:each] for code in codes]))


@contextmanager
def custom_errors(spec: OwnModule) -> Iterator[None]:
    """Whatever the estimator raises is said in one line, and what it warns of, not at all."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        raise ModelError(
            f"{spec.python} failed: {type(error).__name__}: {error}",
            where="train.model",
            remedy="correct it, or its args",
        ) from error


def _require_fitting(estimator: Any, spec: OwnModule, *, regression: bool) -> None:
    from sklearn.base import is_classifier, is_regressor

    needed = ("fit", "predict" if regression else "predict_proba", "get_params", "set_params")
    missing = [name for name in needed if not hasattr(estimator, name)]
    if missing:
        raise ModelError(
            f"{spec.python} has no {missing[0]}",
            where="train.model.python",
            remedy="name a scikit-learn estimator that predicts "
            + ("numbers" if regression else "probabilities"),
        )
    if not (is_regressor(estimator) if regression else is_classifier(estimator)):
        raise ModelError(
            f"{spec.python} is no {'regressor' if regression else 'classifier'}, as train.target "
            "needs",
            where="train.model.python",
            remedy="name one, or set train.task",
        )
