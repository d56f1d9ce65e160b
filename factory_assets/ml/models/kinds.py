"""The kinds of model, one small file each, behind the interface in `base.py`.

A model of the user's own: a LightningModule, or a scikit-learn estimator, told apart here.
"""

from __future__ import annotations

from pathlib import Path

from factory_assets.ml.features.arrays import LabelledArrays
from factory_assets.ml.models.base import Fit, FitContext, Model, Shape, TrialPruned, Watch
from factory_assets.spec.models import Cnn, GradientBoosting, LightGbm, OwnModule, SequenceNetwork
from factory_assets.spec.train import Linear, ModelSpec, RandomForest
from factory_resources.errors import ModelError
from factory_resources.user_code import load_object

__all__ = [
    "Fit",
    "FitContext",
    "LabelledArrays",
    "Model",
    "Shape",
    "TrialPruned",
    "Watch",
    "fit_model",
    "kind_of",
    "model_class",
]


def kind_of(spec: ModelSpec) -> str:
    """The kind as the declaration calls it."""
    return getattr(spec, "kind", "python")


def model_class(spec: ModelSpec, folder: Path) -> type[Model]:
    """The class behind a declared kind; torch or scikit-learn is imported here and not before.

    Args:
        folder: of the declaration; a user's own module is found there.

    Raises:
        DeclarationError, ModelError: when what the user names is not there, or is no model.
    """
    match spec:
        case OwnModule():
            return custom_model(spec, folder)
        case Linear():
            from factory_assets.ml.models.linear import LinearModel

            return LinearModel
        case RandomForest():
            from factory_assets.ml.models.trees.random_forest import ForestModel

            return ForestModel
        case GradientBoosting():
            from factory_assets.ml.models.trees.gradient_boosting import BoostingModel

            return BoostingModel
        case LightGbm():
            from factory_assets.ml.models.trees.lightgbm import LightGbmModel

            return LightGbmModel
        case Cnn():
            from factory_assets.ml.models.networks.model import CnnModel

            return CnnModel
        case SequenceNetwork():
            from factory_assets.ml.models.networks.sequence_model import SequenceModel

            return SequenceModel
        case _:
            from factory_assets.ml.models.networks.model import NetworkModel

            return NetworkModel


def fit_model(setting: FitContext, train: LabelledArrays, validation: LabelledArrays) -> Fit:
    """Fit the declared kind; see `Model.fit`."""
    return model_class(setting.spec, setting.folder).fit(setting, train, validation)


def custom_model(spec: OwnModule, folder: Path) -> type[Model]:
    """The class that fits, keeps and exports what `python` names.

    Raises:
        DeclarationError: when it cannot be found.
        ModelError: when it is neither.
    """
    own = load_object(spec.python, folder)
    if isinstance(own, type) and any(map(_is_module, own.__mro__)):
        from factory_assets.ml.models.networks.model import NetworkModel

        return NetworkModel
    if hasattr(own, "fit") or (callable(own) and not isinstance(own, type)):
        from factory_assets.ml.models.custom.estimator import CustomEstimatorModel

        return CustomEstimatorModel
    raise ModelError(
        f"{spec.python} is no LightningModule and no scikit-learn estimator",
        where=str(folder),
        remedy="name a subclass of lightning.pytorch.LightningModule, an estimator, or a function "
        "that returns one",
    )


def _is_module(base: type) -> bool:
    """By name: Lightning takes seconds to import, which a scikit-learn estimator never needs."""
    return base.__name__ == "LightningModule" and base.__module__.startswith("lightning.")
