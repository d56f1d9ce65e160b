"""Load a user's own Dagster assets, from an `assets.py` in a folder beside the pipelines.

How their tables are stored belongs in `io_manager`.
"""

import logging
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import dagster as dg

from factory_assets.components.attributes import broken_pipeline
from factory_assets.declarations.folders import ASSETS_FILE
from factory_assets.execution.boundary_level import import_refused
from factory_resources.errors import DeclarationError
from factory_resources.user_code import module_beside

_CORRECT = "correct it"

_KEY = "give it another key, as in @asset(key_prefix='raw')"

_LONGEST = 1_000
"""Characters of an error: of a circle, Dagster names every asset and check of the location."""


def user_assets(
    folder: Path,
    others: Sequence[dg.Definitions],
    resources: Mapping[str, Any],
    *,
    with_others: bool,
) -> dg.Definitions:
    """Return the assets and asset checks of `assets.py`, or one asset that shows why it fails.

    Args:
        others: the pipelines, and the assets of other folders, beside which they are to load.
        resources: resources that the assets may use.
        with_others: whether it is tried out if they load beside the others, which takes as long as
            loading all of these.
    """
    try:
        return load_user_assets(folder, others, resources, with_others=with_others)
    except DeclarationError as problem:
        broken = broken_pipeline(f"{folder.name}_assets", problem, ASSETS_FILE)
        if broken.key in _keys_of(others):
            # A pipeline has the name, and is broken, too.
            broken = broken_pipeline(f"{folder.name}/{ASSETS_FILE}", problem, ASSETS_FILE)
        return dg.Definitions(assets=[broken])


def load_user_assets(
    folder: Path,
    others: Sequence[dg.Definitions],
    resources: Mapping[str, Any],
    *,
    with_others: bool,
) -> dg.Definitions:
    """Return the assets and asset checks of `assets.py`.

    Args:
        others: as for `user_assets`, as are the rest.

    Raises:
        DeclarationError: they do not load; `where` ends with the line.
    """
    try:
        if refused := import_refused():
            raise DeclarationError(refused, remedy=_CORRECT)
        module = module_beside("assets", folder)
        definitions = dg.Definitions(
            assets=dg.load_assets_from_modules([module] if module else []),
            asset_checks=dg.load_asset_checks_from_modules([module] if module else []),
        )
        # Validated here, because an error in them would unload the whole code location.
        shared = dg.Definitions(resources=resources)
        dg.Definitions.validate_loadable(dg.Definitions.merge(definitions, shared))
        _require_free(definitions, others)
        if with_others:
            together = dg.Definitions.merge(definitions, shared, *others)
            together.get_repository_def().load_all_definitions()
    except (Exception, SystemExit) as error:
        file = folder / ASSETS_FILE
        logging.getLogger(__name__).debug("%s did not load", file, exc_info=True)
        what, remedy = f"{type(error).__name__}: {error}"[:_LONGEST], _CORRECT
        if isinstance(error, DeclarationError):
            what, remedy = error.what, error.remedy or _CORRECT
        raise DeclarationError(what, where=f"{file}:{_line(error, file)}", remedy=remedy) from error
    return definitions


def _line(error: BaseException, file: Path) -> int:
    """Return the last line of the file in which an error was; 1 if it was in none."""
    if isinstance(error, SyntaxError):
        return error.lineno or 1 if error.filename == str(file) else 1
    frames = traceback.extract_tb(error.__traceback__)
    return next((one.lineno or 1 for one in reversed(frames) if one.filename == str(file)), 1)


def _assets_of(definitions: dg.Definitions) -> list[dg.AssetsDefinition]:
    return [asset for asset in definitions.assets or () if isinstance(asset, dg.AssetsDefinition)]


def _keys_of(others: Sequence[dg.Definitions]) -> set[dg.AssetKey]:
    return {key for other in others for asset in _assets_of(other) for key in asset.keys}


def _require_free(definitions: dg.Definitions, others: Sequence[dg.Definitions]) -> None:
    """Require keys that no other asset has, and names that no job of a pipeline has.

    Raises:
        DeclarationError: one is taken.
    """
    taken = _keys_of(others)
    jobs = {cast(Any, job).name for other in others for job in other.jobs or ()}
    for asset in _assets_of(definitions):
        for key in asset.keys:
            if key in taken:
                raise DeclarationError(f"asset {key.to_user_string()} exists already", remedy=_KEY)
        if asset.is_executable and asset.node_def.name in jobs:
            raise DeclarationError(
                f"asset {asset.node_def.name} has the name of a pipeline, or of its looks",
                remedy=_KEY,
            )
