"""The Dagster code location: every declared pipeline, and the resources that they share.

Building the definitions of one pipeline belongs in `components`.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from factory_assets.components.attributes import broken_pipeline
from factory_assets.components.merging import merge_defs
from factory_assets.components.model_pipeline import build_pipeline
from factory_assets.declarations.dependencies import load_beside_others
from factory_assets.declarations.folders import asset_folders
from factory_assets.declarations.loader import pipeline_folders
from factory_resources.dagster_databases import ask_less
from factory_resources.errors import FactoryError
from factory_resources.interpreter import collect_less


@dg.definitions
def defs() -> dg.Definitions:
    collect_less()
    ask_less()
    return build_defs(pipeline_folders(), own_assets=asset_folders())


def build_defs(
    folders: Sequence[Path],
    *,
    own_assets: Sequence[Path] = (),
    resource_overrides: Mapping[str, Any] | None = None,
) -> dg.Definitions:
    """Build the definitions of the pipelines declared in `folders`.

    Args:
        folders: one folder per pipeline, each with its `defs.yaml`.
        own_assets: folders with an `assets.py`.
        resource_overrides: resources to use instead of the default ones, by name.
    """
    parts = [pipeline_defs(folder) for folder in folders]
    return merge_defs(parts, own_assets=own_assets, resource_overrides=resource_overrides)


def pipeline_defs(folder: Path) -> dg.Definitions:
    """Build a pipeline's definitions, or one asset that shows why it did not load.

    Dagster would drop the whole code location if a single declaration were wrong; here the other
    pipelines keep running.
    """
    try:
        return build_pipeline(load_beside_others(folder))
    except FactoryError as error:
        return dg.Definitions(assets=[broken_pipeline(folder.name, error)])
    except Exception as error:
        # A bug of the factory, which must not affect other pipelines either.
        logging.getLogger(__name__).exception("pipeline %s did not load", folder.name)
        return dg.Definitions(assets=[broken_pipeline(folder.name, error)])
