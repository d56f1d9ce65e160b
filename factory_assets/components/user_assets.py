"""Load a user's own Dagster assets, from an `assets.py` in a folder beside the pipelines.

How their tables are stored belongs in `io_manager`.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from factory_assets.components.attributes import broken_pipeline
from factory_assets.declarations.folders import ASSETS_FILE
from factory_assets.execution.boundary_level import import_refused
from factory_resources.errors import DeclarationError
from factory_resources.user_code import module_beside


def user_assets(
    folder: Path, taken: Iterable[dg.AssetKey], resources: Mapping[str, Any]
) -> dg.Definitions:
    """Return the assets and asset checks of `assets.py`, or one asset that shows why it fails.

    Args:
        taken: keys of other assets.
        resources: resources that the assets may use.
    """
    try:
        if refused := import_refused():
            raise DeclarationError(refused, remedy="correct it, then reload the code location")
        module = module_beside("assets", folder)
        definitions = dg.Definitions(
            assets=dg.load_assets_from_modules([module] if module else []),
            asset_checks=dg.load_asset_checks_from_modules([module] if module else []),
        )
        # Validated separately, because an error in them would unload the whole code location.
        separate = dg.Definitions.merge(definitions, dg.Definitions(resources=resources))
        dg.Definitions.validate_loadable(separate)
        _require_free(keys_of(definitions), set(taken))
    except Exception as error:
        logging.getLogger(__name__).debug("%s did not load", folder / ASSETS_FILE, exc_info=True)
        problem = DeclarationError(
            f"{type(error).__name__}: {error}"
            if not isinstance(error, DeclarationError)
            else error.what,
            where=str(folder / ASSETS_FILE),
            remedy="correct it, then reload the code location",
        )
        broken = broken_pipeline(f"{folder.name}_assets", problem, ASSETS_FILE)
        return dg.Definitions(assets=[broken])
    return definitions


def keys_of(definitions: dg.Definitions) -> list[dg.AssetKey]:
    """Return the keys of the assets in the definitions."""
    return [
        key
        for asset in definitions.assets or ()
        if isinstance(asset, dg.AssetsDefinition)
        for key in asset.keys
    ]


def _require_free(keys: Sequence[dg.AssetKey], taken: set[dg.AssetKey]) -> None:
    for key in keys:
        if key in taken:
            raise DeclarationError(
                f"asset {key.to_user_string()} exists already",
                remedy="give it another key, as in @asset(key_prefix='raw')",
            )
