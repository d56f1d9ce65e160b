"""All metrics of outputs, for tests that compute them once more."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from factory_assets.ml.metrics.metrics import ScoredRows, normalise_probabilities


def classification_metrics(
    truth: NDArray[Any],
    probabilities: NDArray[Any],
    threshold: float | None,
    classes: Sequence[str],
) -> dict[str, float]:
    """Return every defined metric of [rows, classes]; of two classes, the second is positive."""
    task = "binary" if len(classes) == 2 else "multiclass"
    cut = 0.5 if threshold is None else threshold
    return ScoredRows(task, truth, normalise_probabilities(probabilities), cut).metrics()


def regression_metrics(
    truth: NDArray[Any], prediction: NDArray[Any], clip: float | None
) -> dict[str, float]:
    """Return every defined metric of numbers, [rows]."""
    numbers = (np.asarray(values, float) for values in (truth, prediction))
    return ScoredRows("regression", *numbers, clip=clip).metrics()
