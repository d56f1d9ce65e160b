"""A user's own Dagster assets: those of an `assets.py` in a folder beside the pipelines'."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from factory_assets.components.attributes import broken_pipeline
from factory_assets.declarations.loader import defs_folders
from factory_resources.errors import DeclarationError
from factory_resources.user_code import module_beside

FILE = "assets.py"


def asset_folders() -> list[Path]:
    """Each folder with an `assets.py`, by place and name."""
    return [
        file.parent
        for folder in dict.fromkeys(defs_folders())
        for file in sorted(folder.glob(f"*/{FILE}"))
    ]


def user_assets(
    folder: Path, taken: Iterable[dg.AssetKey], resources: Mapping[str, Any]
) -> dg.Definitions:
    """The assets and asset checks of the folder's `assets.py`, or one red asset that says why not.

    Args:
        taken: keys that other assets have already.
        resources: what the assets may ask for.
    """
    try:
        module = module_beside("assets", folder)
        made = dg.Definitions(
            assets=dg.load_assets_from_modules([module] if module else []),
            asset_checks=dg.load_asset_checks_from_modules([module] if module else []),
        )
        # Apart from all others: what is wrong here would unload the whole code location.
        alone = dg.Definitions.merge(made, dg.Definitions(resources=resources))
        dg.Definitions.validate_loadable(alone)
        _require_free(keys_of(made), set(taken))
    except Exception as error:
        logging.getLogger(__name__).debug("%s did not load", folder / FILE, exc_info=True)
        said = DeclarationError(
            f"{type(error).__name__}: {error}"
            if not isinstance(error, DeclarationError)
            else error.what,
            where=str(folder / FILE),
            remedy="correct it, then reload the code location",
        )
        return dg.Definitions(assets=[broken_pipeline(f"{folder.name}_assets", said, "assets.py")])
    return made


def keys_of(definitions: dg.Definitions) -> list[dg.AssetKey]:
    """The keys of the assets that the definitions make."""
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
                f"asset {key.to_user_string()} is there already",
                remedy="give it another key, as in @asset(key_prefix='raw')",
            )
