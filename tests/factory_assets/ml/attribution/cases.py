"""Small tables and fitted models for the tests of influence."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer

from factory_assets.ml.features.arrays import Arrays, LabelledArrays
from factory_assets.ml.models.base import FitContext, Model, Shape
from factory_assets.ml.models.kinds import fit_model
from factory_assets.spec.linear import Linear
from factory_assets.spec.models import Mlp
from factory_assets.spec.train import ModelSpec

LINEAR = Linear(kind="linear")

# Weight decay so strong that training ends where loss and decay balance, as the theory assumes.
NETWORK = Mlp(kind="mlp", hidden=(8,), dropout=0.0, weight_decay=1.0, epochs=25)


def rows_of(numbers: Any, target: Any, codes: Any = None) -> LabelledArrays:
    numbers, target = np.asarray(numbers, np.float32), np.asarray(target)
    if codes is None:
        codes = np.empty((len(numbers), 0), np.int64)
    kind = np.float32 if target.dtype.kind == "f" else np.int64
    return LabelledArrays(Arrays(numbers, codes, None), target.astype(kind))


def drawn(count: int, classes: int, seed: int = 0) -> LabelledArrays:
    """Points whose class, or number if there are no classes, follows from 3 columns with noise."""
    chance = np.random.default_rng(seed)
    points = chance.normal(size=(count, 3))
    score = points @ [1.0, -1.0, 0.5] + chance.normal(size=count) * 0.5
    if not classes:
        return rows_of(points, score)
    edges = np.quantile(score, np.arange(1, classes) / classes)
    return rows_of(points, np.digitize(score, edges))


def tumours() -> tuple[LabelledArrays, LabelledArrays, LabelledArrays]:
    """Return training, validation and test rows of breast cancer."""
    points, target = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(points))
    points, target = points[order], target[order]
    points = (points - points[170:].mean(axis=0)) / points[170:].std(axis=0)
    whole = rows_of(points, target)
    return (
        whole.take(np.arange(170, 569)),
        whole.take(np.arange(170)[:57]),
        whole.take(np.arange(57, 170)),
    )


def fitted(
    spec: ModelSpec,
    rows: LabelledArrays,
    validation: LabelledArrays,
    seed: int = 0,
    weights: NDArray[np.float64] | None = None,
) -> Model:
    """Fit a model.

    Args:
        weights: [classes]; None if all weigh the same.
    """
    classes = rows.target.dtype.kind == "i"
    outputs = int(rows.target.max()) + 1 if classes else 1
    task: Any = "regression" if not classes else "binary" if outputs == 2 else "multiclass"
    shape = Shape(task, rows.inputs.numbers.shape[1], (), outputs)
    context = FitContext(spec, shape, seed, weights, Path(), Path("/tmp"), lambda _: None)
    return fit_model(context, rows, validation).model
