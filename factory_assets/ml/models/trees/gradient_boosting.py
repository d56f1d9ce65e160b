"""Histogram gradient boosting of scikit-learn, stopped early on the factory's validation rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from factory_assets.ml.features.arrays import Arrays, LabelledArrays
from factory_assets.ml.models.base import (
    ENSEMBLE_SEED_STEP,
    Fit,
    FitContext,
    Shape,
    join_histories,
    median_rounds,
)
from factory_assets.ml.models.onnx_nodes import round_down
from factory_assets.ml.models.trees.interactions import PRELIMINARY, Interactions
from factory_assets.ml.models.trees.sklearn_base import FILE, EstimatorModel, estimator_graph
from factory_assets.results.training import Epoch
from factory_assets.spec.models import GradientBoosting
from factory_assets.spec.train import ModelSpec
from factory_resources.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray


@dataclass(frozen=True)
class _Rows:
    """What trees read of rows."""

    matrix: NDArray[np.float32]
    target: NDArray[Any]
    weights: NDArray[np.float64] | None


class BoostingModel(EstimatorModel):
    """The trees up to the best validation loss; an `Epoch` is one boosting round."""

    trusted: ClassVar[tuple[str, ...]] = (
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    )
    estimators: ClassVar[tuple[str, ...]] = (
        "HistGradientBoostingClassifier",
        "HistGradientBoostingRegressor",
    )

    def __init__(
        self, shape: Shape, estimator: Any, interactions: Interactions | None = None
    ) -> None:
        super().__init__(shape, estimator)
        self._interactions = interactions or Interactions()

    @classmethod
    def fit(cls, context: FitContext, train: LabelledArrays, validation: LabelledArrays) -> Fit:
        read, held_out = (_read(context, rows) for rows in (train, validation))
        interactions = _interactions(context, read)
        read, held_out = (
            replace(rows, matrix=interactions.append(rows.matrix)) for rows in (read, held_out)
        )
        members = [
            cls._fit_one(
                replace(context, seed=context.seed + ENSEMBLE_SEED_STEP * member), read, held_out
            )
            for member in range(cast(GradientBoosting, context.spec).ensemble)
        ]
        rounds = median_rounds(len(estimator._predictors) for estimator, _ in members)
        estimator = _averaged([estimator for estimator, _ in members])
        history = join_histories(epochs for _, epochs in members)
        model = cls(context.shape, estimator, interactions)
        if not history:
            return Fit(model, rounds=context.rounds)
        best = min(history, key=lambda epoch: epoch.validation_loss)
        return Fit(model, history, max(best.epoch, 1), rounds=rounds)

    @classmethod
    def _fit_one(
        cls, context: FitContext, train: _Rows, validation: _Rows
    ) -> tuple[Any, tuple[Epoch, ...]]:
        estimator = _estimator(cast(GradientBoosting, context.spec), context)
        if context.rounds is not None:
            estimator.set_params(early_stopping=False, max_iter=context.rounds)
            estimator.fit(train.matrix, train.target, sample_weight=train.weights)
            narrow_thresholds(estimator)
            return estimator, ()
        estimator.fit(
            train.matrix,
            train.target,
            sample_weight=train.weights,
            X_val=validation.matrix,
            y_val=validation.target,
            sample_weight_val=validation.weights,
        )
        losses = [-float(score) for score in estimator.validation_score_]
        best = losses.index(min(losses))
        # Score 0 is the constant prediction before round 1; a model keeps at least one round.
        best = max(best, 1)
        del estimator._predictors[best:]
        narrow_thresholds(estimator)
        pairs = zip(estimator.train_score_, losses, strict=True)
        history = tuple(
            Epoch(epoch=i, train_loss=-float(train_score), validation_loss=loss)
            for i, (train_score, loss) in enumerate(pairs)
        )
        return estimator, history

    def matrix(self, inputs: Arrays) -> NDArray[np.float32]:
        return self._interactions.append(super().matrix(inputs))

    def save(self, folder: Path) -> None:
        super().save(folder)
        self._interactions.save(folder)

    @classmethod
    def load(cls, spec: ModelSpec, shape: Shape, files: Path, folder: Path) -> Self:
        estimator = super().load(spec, shape, files, folder).estimator
        interactions = Interactions.load(files, shape)
        if estimator.n_features_in_ != interactions.width(shape):
            raise ModelError(f"{FILE} does not match the inputs of the model", remedy="train again")
        return cls(shape, estimator, interactions)

    def graph(self) -> onnx.ModelProto:
        matrix = self._interactions.graph(self._shape)
        return estimator_graph(self._estimator, matrix, self._shape.task)

    @property
    def parameters(self) -> int:
        return sum(len(t.nodes) for round_ in self._estimator._predictors for t in round_)


def _read(context: FitContext, rows: LabelledArrays) -> _Rows:
    matrix = rows.inputs.one_hot(context.shape.cardinalities)
    return _Rows(matrix, rows.target, context.sample_weights(rows.target))


def _interactions(context: FitContext, rows: _Rows) -> Interactions:
    """Return the pairs of the numbers that a few trees gain most by."""
    import numpy as np

    spec = cast(GradientBoosting, context.spec)
    if not spec.interactions:
        return Interactions()
    estimator = _estimator(spec, context)
    estimator.set_params(early_stopping=False, max_iter=PRELIMINARY)
    estimator.fit(rows.matrix, rows.target, sample_weight=rows.weights)
    gains = np.zeros(rows.matrix.shape[1])
    for nodes in (tree.nodes for round_ in estimator._predictors for tree in round_):
        splits = nodes[nodes["is_leaf"] == 0]
        np.add.at(gains, splits["feature_idx"], splits["gain"])
    return Interactions.among(rows.matrix, gains, context.shape.numbers, spec.interactions)


def _estimator(spec: GradientBoosting, context: FitContext) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    regression = context.shape.task == "regression"
    losses = {"loss": spec.loss} if regression else {}
    return (HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier)(
        **losses,
        max_iter=spec.iterations,
        n_iter_no_change=spec.patience,
        learning_rate=spec.learning_rate,
        max_leaf_nodes=spec.max_leaf_nodes,
        min_samples_leaf=spec.min_samples_leaf,
        l2_regularization=spec.regularisation,
        max_features=spec.max_features,
        early_stopping=True,
        scoring="loss",
        tol=0.0,
        random_state=context.seed,
    )


def _averaged(estimators: Sequence[Any]) -> Any:
    """Merge estimators into one that predicts their mean: all trees, leaf values divided by n.

    This needs equal constant predictions, which hold because all were fitted on the same rows.
    """
    if len(estimators) == 1:
        return estimators[0]
    merged = estimators[0]
    rounds = [round_ for estimator in estimators for round_ in estimator._predictors]
    for round_ in rounds:
        for tree in round_:
            tree.nodes["value"] /= len(estimators)
    merged._predictors = rounds
    return merged


def narrow_thresholds(estimator: Any) -> None:
    """Round thresholds down to float32: float32 inputs compare the same, here and in ONNX."""
    for round_ in estimator._predictors:
        for tree in round_:
            tree.nodes["num_threshold"] = round_down(tree.nodes["num_threshold"])
