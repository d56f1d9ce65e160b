"""Merge the definitions of pipelines with the resources that all of them share.

Building the definitions of one pipeline belongs in `model_pipeline`.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from factory_assets.components.erasure_sensor import erasure_sensors
from factory_assets.components.io_manager import TableIOManager
from factory_assets.components.user_assets import user_assets
from factory_assets.execution.progress import Progress
from factory_assets.execution.workers.local_processes import LocalProcesses
from factory_resources.home.home import Home
from factory_resources.security.offline import go_offline


def merge_defs(
    pipelines: Sequence[dg.Definitions],
    *,
    own_assets: Sequence[Path] = (),
    resource_overrides: Mapping[str, Any] | None = None,
) -> dg.Definitions:
    """Merge the definitions of pipelines, and add the resources.

    Args:
        own_assets: folders with an `assets.py`.
        resource_overrides: resources to use instead of the default ones, by name.
    """
    go_offline()
    resources = shared_resources(resource_overrides)
    shared = dg.Definitions(
        resources=resources,
        executor=dg.in_process_executor,
        sensors=erasure_sensors(pipelines, resources["home"]),
    )
    # All together load nearly always; only if they do not is it tried out whose assets are wrong.
    merged = _merged(shared, pipelines, own_assets, resources, one_by_one=False)
    if not own_assets or _loads(merged):
        return merged
    return _merged(shared, pipelines, own_assets, resources, one_by_one=True)


def shared_resources(overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the resources that all assets may use, by name.

    Args:
        overrides: resources to use instead of the default ones.
    """
    resources = {
        "home": Home.from_env(),
        "progress": Progress(),
        "processes": LocalProcesses(),
        **(overrides or {}),
    }
    # Dagster's default I/O manager pickles.
    resources.setdefault("io_manager", TableIOManager(resources["home"]))
    return resources


def _merged(
    shared: dg.Definitions,
    pipelines: Sequence[dg.Definitions],
    own_assets: Sequence[Path],
    resources: Mapping[str, Any],
    *,
    one_by_one: bool,
) -> dg.Definitions:
    parts = [*pipelines]
    for folder in own_assets:
        parts.append(user_assets(folder, parts, resources, with_others=one_by_one))
    return dg.Definitions.merge(shared, *parts)


def _loads(definitions: dg.Definitions) -> bool:
    """Whether Dagster loads them; it keeps what it has loaded, and need not do so again."""
    try:
        definitions.get_repository_def().load_all_definitions()
    except Exception:
        logging.getLogger(__name__).debug("the definitions do not load", exc_info=True)
        return False
    return True
