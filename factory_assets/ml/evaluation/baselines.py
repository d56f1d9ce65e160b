"""Baselines of a candidate: a constant prediction, and a linear model on the candidate's inputs.

Scoring belongs in `test_set`, comparing in `gates`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.ml.features.target import Target, with_target
from factory_assets.ml.training.fitting import fit
from factory_assets.ml.training.out_of_core import sample_rows
from factory_assets.results.data import SplitResult
from factory_assets.spec import Linear, Pipeline
from factory_resources.home.home import Home

if TYPE_CHECKING:
    from numpy.typing import NDArray


LINEAR = Linear(kind="linear")


def trivial_outputs(
    target: Target, training_truth: NDArray[Any], rows: int, metric: str
) -> NDArray[Any]:
    """Predict the same for every row: the class shares of the training rows, or their mean target.

    By `mae` the median is the best constant: of amounts, a model may be better than the mean alone.

    Args:
        training_truth: class codes or numbers of the training rows, as from `Target.values`.
        rows: how many rows to predict.
        metric: by which they are judged.

    Returns:
        Probabilities [rows, classes], or predictions [rows].
    """
    import numpy as np

    if target.task == "regression":
        constant = np.median(training_truth) if metric == "mae" else training_truth.mean()
        return np.full(rows, constant)
    counts = np.bincount(training_truth, minlength=len(target.classes))
    return np.tile(counts / counts.sum(), (rows, 1))


def linear_baseline(
    pipeline: Pipeline, parts: SplitResult, candidate: TrainedModel, home: Home
) -> TrainedModel | None:
    """Fit logistic or ridge regression on the candidate's training rows.

    Of a large table, only a sample of the rows is used. A candidate that is this very model is its
    own baseline.

    Returns:
        None if the sample has one value of the target only, such as where the rarer class is in one
        row of a million: what is learned from it is the constant guess.
    """
    import numpy as np

    if candidate.description.spec == LINEAR:
        return candidate
    training, validation = sample_rows(parts.train, home), sample_rows(parts.validation, home)
    if len(np.unique(candidate.target.values(training))) < 2:
        return None
    declared = with_target(pipeline, candidate.target)
    return fit(declared, training, validation, home, model=LINEAR).trained


def of_classes(
    outputs: NDArray[Any], classes: tuple[str, ...], wanted: tuple[str, ...]
) -> NDArray[Any]:
    """Return probabilities of other classes: 0 of those that a sample of the rows did not have.

    Args:
        outputs: [rows, classes]; or [rows] of numbers, which have no classes.
        wanted: at least `classes`, in any order.

    Returns:
        [rows, wanted], or the numbers.
    """
    import numpy as np

    if classes == wanted:
        return outputs
    spread = np.zeros((len(outputs), len(wanted)))
    spread[:, [wanted.index(name) for name in classes]] = outputs
    return spread
