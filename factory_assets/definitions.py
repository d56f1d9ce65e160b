"""The code location: every declared pipeline, and what they share.

The one place where it all meets.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from factory_assets.components.attributes import broken_pipeline
from factory_assets.components.io_manager import TableIOManager
from factory_assets.components.model_pipeline import build_pipeline
from factory_assets.components.user_assets import asset_folders, keys_of, user_assets
from factory_assets.declarations.dependencies import require_no_circle
from factory_assets.declarations.loader import load_pipeline, pipeline_folders
from factory_assets.execution.progress import Progress
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home
from factory_resources.security.offline import go_offline


@dg.definitions
def defs() -> dg.Definitions:
    return build_defs(pipeline_folders(), own_assets=asset_folders())


def build_defs(
    folders: Sequence[Path],
    *,
    own_assets: Sequence[Path] = (),
    resource_overrides: Mapping[str, Any] | None = None,
) -> dg.Definitions:
    """The definitions of the pipelines declared in `folders`.

    Args:
        folders: one folder a pipeline, each with its `defs.yaml`.
        own_assets: folders with an `assets.py`.
        resource_overrides: resources to use instead of the usual ones, by name.
    """
    go_offline()
    resources = {"home": Home.from_env(), "progress": Progress(), **(resource_overrides or {})}
    # Dagster's own default pickles.
    resources.setdefault("io_manager", TableIOManager(resources["home"]))
    made = [pipeline_defs(folder) for folder in folders]
    for folder in own_assets:
        taken = [key for definitions in made for key in keys_of(definitions)]
        made.append(user_assets(folder, taken, resources))
    return dg.Definitions.merge(
        dg.Definitions(resources=resources, executor=dg.in_process_executor), *made
    )


def pipeline_defs(folder: Path) -> dg.Definitions:
    """A pipeline's definitions, or one red asset that says why it has none.

    Dagster drops the whole code location when a single declaration is wrong; a factory keeps its
    other pipelines running.
    """
    try:
        pipeline = load_pipeline(folder)
        require_no_circle(pipeline)
        return build_pipeline(pipeline)
    except FactoryError as error:
        return dg.Definitions(assets=[broken_pipeline(folder.name, error)])
    except Exception as error:
        # A fault of ours; it stays in this pipeline all the same.
        logging.getLogger(__name__).exception("pipeline %s did not load", folder.name)
        return dg.Definitions(assets=[broken_pipeline(folder.name, error)])
