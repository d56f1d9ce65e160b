"""Load a model version for serving, after its files were compared with the ledger."""

from factory_assets.execution.missing_champion import no_champion
from factory_assets.execution.supply_chain import require_unchanged
from factory_assets.ml.artifacts.onnx_model import OnnxModel, load_champion, load_served
from factory_resources.erasure.manifest import is_gone
from factory_resources.errors import RefusedError
from factory_resources.home.home import Home
from factory_resources.tracking.registry import Registry, Version


def load_verified(registry: Registry, version: Version) -> OnnxModel:
    """Load the graph that was deployed as a version.

    Raises:
        ModelError: it was never deployed, or a file of the version, its provenance or its supply
            chain is missing or was changed.
    """
    require_unchanged(version, registry.home)
    return load_served(registry, version)


def load_verified_champion(model: str, home: Home) -> tuple[int, OnnxModel]:
    """Load the champion: its version number and its graph.

    Raises:
        ModelError: nothing was deployed yet, or as of `load_verified`.
        RefusedError: a person stopped it, or an erasure removed its files.
    """
    registry = Registry(home)
    champion = registry.champion(model)
    if champion is None:
        raise no_champion(model, home)
    if is_gone(home, model, champion):
        raise RefusedError(
            f"an erasure removed the files of version {champion}, so that it does not serve",
            where=model,
            remedy=f"train a new version: factory run {model}",
        )
    number, served = load_champion(model, home)
    require_unchanged(registry.version(model, number), home)
    return number, served
