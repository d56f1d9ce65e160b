"""Random forests and extremely randomised trees of scikit-learn."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from factory_assets.ml.features.arrays import LabelledArrays
from factory_assets.ml.models.base import Fit, FitContext
from factory_assets.ml.models.trees.sklearn_base import EstimatorModel
from factory_assets.spec.models import Forest


class ForestModel(EstimatorModel):
    """A forest fitted on all cores and evaluated on one.

    Several threads would add up the trees in a different order each time.
    """

    trusted: ClassVar[tuple[str, ...]] = ("sklearn.tree._tree.Tree",)
    estimators: ClassVar[tuple[str, ...]] = ("RandomForestClassifier", "RandomForestRegressor")

    @classmethod
    def fit(cls, context: FitContext, train: LabelledArrays, validation: LabelledArrays) -> Fit:
        spec = cast(Forest, context.spec)
        drawn = {} if spec.max_features is None else {"max_features": spec.max_features}
        is_regression = context.shape.task == "regression"
        measure = {} if is_regression else {"criterion": spec.criterion}
        estimator = cls._unfitted(regression=is_regression)(
            n_estimators=spec.trees,
            max_depth=spec.max_depth,
            min_samples_leaf=spec.min_samples_leaf,
            random_state=context.seed,
            n_jobs=-1,
            **drawn,
            **measure,
        )
        matrix = train.inputs.one_hot(context.shape.cardinalities)
        estimator.fit(matrix, train.target, sample_weight=context.sample_weights(train.target))
        estimator.n_jobs = 1
        return Fit(cls(context.shape, estimator))

    @classmethod
    def _unfitted(cls, *, regression: bool) -> Any:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        return RandomForestRegressor if regression else RandomForestClassifier

    @property
    def parameters(self) -> int:
        return sum(tree.tree_.node_count for tree in self._estimator.estimators_)


class ExtraTreesModel(ForestModel):
    """Trees whose splits are the best of random ones, each fitted on all rows."""

    estimators: ClassVar[tuple[str, ...]] = ("ExtraTreesClassifier", "ExtraTreesRegressor")

    @classmethod
    def _unfitted(cls, *, regression: bool) -> Any:
        from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

        return ExtraTreesRegressor if regression else ExtraTreesClassifier
