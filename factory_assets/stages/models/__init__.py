"""The kinds of model, one small file each, behind the interface in `base.py`."""

from pathlib import Path

from factory_assets.spec.boosting import GradientBoosting, LightGbm
from factory_assets.spec.network import Cnn, OwnModule
from factory_assets.spec.sequence import Sequence
from factory_assets.spec.train import Linear, ModelSpec, RandomForest
from factory_assets.stages.models.base import Fit, GivenUp, Model, Rows, Setting, Shape, Watch

__all__ = [
    "Fit",
    "GivenUp",
    "Model",
    "Rows",
    "Setting",
    "Shape",
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
            from factory_assets.stages.models.own import own_model

            return own_model(spec, folder)
        case Linear():
            from factory_assets.stages.models.linear import LinearModel

            return LinearModel
        case RandomForest():
            from factory_assets.stages.models.random_forest import ForestModel

            return ForestModel
        case GradientBoosting():
            from factory_assets.stages.models.gradient_boosting import BoostingModel

            return BoostingModel
        case LightGbm():
            from factory_assets.stages.models.lightgbm import LightGbmModel

            return LightGbmModel
        case Cnn():
            from factory_assets.stages.models.cnn import CnnModel

            return CnnModel
        case Sequence():
            from factory_assets.stages.models.sequence import SequenceModel

            return SequenceModel
        case _:
            from factory_assets.stages.models.network import NetworkModel

            return NetworkModel


def fit_model(setting: Setting, train: Rows, validation: Rows) -> Fit:
    """Fit the declared kind; see `Model.fit`."""
    return model_class(setting.spec, setting.folder).fit(setting, train, validation)
