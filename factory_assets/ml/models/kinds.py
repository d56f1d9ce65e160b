"""Map a declared kind to its model class.

A user's own model is recognised here as a LightningModule or a scikit-learn estimator. The
interface belongs in `base.py`, each kind in a module of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from factory_assets.ml.features.arrays import LabelledArrays
from factory_assets.ml.models.base import Fit, FitContext, Model, rare_classes
from factory_assets.spec.linear import Linear
from factory_assets.spec.models import (
    Auto,
    Cnn,
    ExtraTrees,
    GradientBoosting,
    LightGbm,
    OwnModule,
    RandomForest,
    SequenceNetwork,
    Tabm,
)
from factory_assets.spec.train import ModelSpec
from factory_assets.spec.tune import ARGS, with_settings
from factory_resources.errors import DeclarationError
from factory_resources.user_callables import require_arguments
from factory_resources.user_code import load_callable


def kind_of(spec: ModelSpec) -> str:
    """Return the kind as declared; `python` for a user's own model."""
    return getattr(spec, "kind", "python")


def model_class(spec: ModelSpec, folder: Path) -> type[Model]:
    """Return the class of a declared kind; only now import torch or scikit-learn.

    Args:
        folder: the folder of the declaration, from which a user's own module is loaded.

    Raises:
        DeclarationError: the user's module or name cannot be found.
        ModelError: the user's object is not a model.
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
        case ExtraTrees():
            from factory_assets.ml.models.trees.random_forest import ExtraTreesModel

            return ExtraTreesModel
        case GradientBoosting():
            from factory_assets.ml.models.trees.gradient_boosting import BoostingModel

            return BoostingModel
        case LightGbm():
            from factory_assets.ml.models.trees.lightgbm import LightGbmModel

            return LightGbmModel
        case Auto():
            from factory_assets.ml.models.portfolio.blend import blend_class
            from factory_assets.ml.models.portfolio.defaults import members_of

            return blend_class([model_class(one, folder) for one in members_of(spec)])
        case Tabm():
            from factory_assets.ml.models.networks.tabm_model import TabmModel

            return TabmModel
        case Cnn():
            from factory_assets.ml.models.networks.model import CnnModel

            return CnnModel
        case SequenceNetwork():
            from factory_assets.ml.models.networks.sequence_model import SequenceModel

            return SequenceModel
        case _:
            from factory_assets.ml.models.networks.model import MlpModel

            return MlpModel


def fit_model(context: FitContext, train: LabelledArrays, validation: LabelledArrays) -> Fit:
    """Fit the declared kind; see `Model.fit`."""
    with rare_classes():
        return model_class(context.spec, context.folder).fit(context, train, validation)


def custom_model(spec: OwnModule, folder: Path) -> type[Model]:
    """Return the class that fits, stores and exports the object that `python` names.

    Raises:
        DeclarationError: as `custom_kind`; or an estimator has settings of networks.
    """
    if custom_kind(spec, folder) == "network":
        from factory_assets.ml.models.networks.model import NetworkModel

        return NetworkModel
    for name in spec.of_networks:
        raise not_a_network(spec, name, folder)
    from factory_assets.ml.models.custom.estimator import CustomEstimatorModel

    return CustomEstimatorModel


def custom_kind(spec: OwnModule, folder: Path) -> Literal["network", "estimator"]:
    """Return what the object that `python` names is.

    Raises:
        DeclarationError: it cannot be found, is neither a LightningModule nor a scikit-learn
            estimator, or does not accept the declared arguments.
    """
    user_object = load_callable(spec.python, folder)
    if isinstance(user_object, type) and any(map(_is_module, user_object.__mro__)):
        sizes = ("numeric", "categories", "outputs")
        require_arguments(user_object, spec.python, folder, spec.args, sizes)
        return "network"
    if hasattr(user_object, "fit") or not isinstance(user_object, type):
        require_arguments(user_object, spec.python, folder, spec.args)
        return "estimator"
    raise DeclarationError(
        f"{spec.python} is neither a LightningModule nor a scikit-learn estimator",
        where=str(folder),
        remedy="name a subclass of lightning.pytorch.LightningModule, an estimator, or a function "
        "that returns one",
    )


def require_searchable(spec: OwnModule, name: str, folder: Path) -> None:
    """Require that the object that `python` names has a setting that is to be searched.

    Raises:
        DeclarationError: as `custom_kind`; or it does not have the setting.
    """
    if name.startswith(ARGS):
        custom_kind(with_settings(spec, {name: None}), folder)
    elif custom_kind(spec, folder) == "estimator":
        remedy = "let train.tune.search name arguments of the estimator, as args.NAME"
        raise not_a_network(spec, name, folder, remedy)


def not_a_network(
    spec: OwnModule,
    name: str,
    folder: Path,
    remedy: str = "set the parameters of the estimator in train.model.args",
) -> DeclarationError:
    """Return the error of an estimator that is declared with a setting of networks."""
    return DeclarationError(
        f"{name} is a setting for training networks, and {spec.python} is not a network",
        where=str(folder),
        remedy=remedy,
    )


def _is_module(base: type) -> bool:
    """Compare by name: importing Lightning takes seconds, and an estimator never needs it."""
    return base.__name__ == "LightningModule" and base.__module__.startswith("lightning.")
