"""Histogram gradient boosting of scikit-learn, stopped early on the factory's validation rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

from factory_assets.ml.features.arrays import LabelledArrays
from factory_assets.ml.models.base import (
    ENSEMBLE_SEED_STEP,
    Fit,
    FitContext,
    median_rounds,
)
from factory_assets.ml.models.onnx_nodes import round_down
from factory_assets.ml.models.trees.sklearn_base import EstimatorModel
from factory_assets.results.training import Epoch
from factory_assets.spec.models import GradientBoosting


class BoostingModel(EstimatorModel):
    """The trees up to the best validation loss; an `Epoch` is one boosting round."""

    trusted: ClassVar[tuple[str, ...]] = (
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    )
    estimators: ClassVar[tuple[str, ...]] = (
        "HistGradientBoostingClassifier",
        "HistGradientBoostingRegressor",
    )

    @classmethod
    def fit(cls, context: FitContext, train: LabelledArrays, validation: LabelledArrays) -> Fit:
        count = cast(GradientBoosting, context.spec).ensemble
        members = [
            cls._fit_one(
                replace(context, seed=context.seed + ENSEMBLE_SEED_STEP * member), train, validation
            )
            for member in range(count)
        ]
        rounds = median_rounds(len(estimator._predictors) for estimator, _ in members)
        estimator = _averaged([estimator for estimator, _ in members])
        history = tuple(
            epoch.model_copy(update={"epoch": i})
            for i, epoch in enumerate(epoch for _, epochs in members for epoch in epochs)
        )
        model = cls(context.shape, estimator)
        if not history:
            return Fit(model, rounds=context.rounds)
        best = min(history, key=lambda epoch: epoch.validation_loss)
        return Fit(model, history, max(best.epoch, 1), rounds=rounds)

    @classmethod
    def _fit_one(
        cls, context: FitContext, train: LabelledArrays, validation: LabelledArrays
    ) -> tuple[Any, tuple[Epoch, ...]]:
        estimator = _estimator(cast(GradientBoosting, context.spec), context)
        matrix = train.inputs.one_hot(context.shape.cardinalities)
        weights = context.sample_weights(train.target)
        if context.rounds is not None:
            estimator.set_params(early_stopping=False, max_iter=context.rounds)
            estimator.fit(matrix, train.target, sample_weight=weights)
            narrow_thresholds(estimator)
            return estimator, ()
        estimator.fit(
            matrix,
            train.target,
            sample_weight=weights,
            X_val=validation.inputs.one_hot(context.shape.cardinalities),
            y_val=validation.target,
            sample_weight_val=context.sample_weights(validation.target),
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

    @property
    def parameters(self) -> int:
        return sum(len(t.nodes) for round_ in self._estimator._predictors for t in round_)


def _estimator(spec: GradientBoosting, context: FitContext) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    regression = context.shape.task == "regression"
    return (HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier)(
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
