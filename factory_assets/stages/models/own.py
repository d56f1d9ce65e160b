"""A model of the user's own: a LightningModule, or a scikit-learn estimator, told apart here."""

from __future__ import annotations

from pathlib import Path

from factory_assets.spec.network import OwnModule
from factory_assets.stages.models.base import Model
from factory_resources.errors import ModelError
from factory_resources.user_code import load_object


def own_model(spec: OwnModule, folder: Path) -> type[Model]:
    """The class that fits, keeps and exports what `python` names.

    Raises:
        DeclarationError: when it cannot be found.
        ModelError: when it is neither.
    """
    own = load_object(spec.python, folder)
    if isinstance(own, type) and any(map(_is_module, own.__mro__)):
        from factory_assets.stages.models.network import NetworkModel

        return NetworkModel
    if hasattr(own, "fit") or (callable(own) and not isinstance(own, type)):
        from factory_assets.stages.models.own_estimator import OwnEstimatorModel

        return OwnEstimatorModel
    raise ModelError(
        f"{spec.python} is no LightningModule and no scikit-learn estimator",
        where=str(folder),
        remedy="name a subclass of lightning.pytorch.LightningModule, an estimator, or a function "
        "that returns one",
    )


def _is_module(base: type) -> bool:
    """By name: Lightning takes seconds to import, which a scikit-learn estimator never needs."""
    return base.__name__ == "LightningModule" and base.__module__.startswith("lightning.")
