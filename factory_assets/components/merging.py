"""Merge the definitions of pipelines with the resources that all of them share.

Building the definitions of one pipeline belongs in `model_pipeline`.
"""

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
    resources = {
        "home": Home.from_env(),
        "progress": Progress(),
        "processes": LocalProcesses(),
        **(resource_overrides or {}),
    }
    # Dagster's default I/O manager pickles.
    resources.setdefault("io_manager", TableIOManager(resources["home"]))
    parts = [*pipelines]
    for folder in own_assets:
        parts.append(user_assets(folder, parts, resources))
    shared = dg.Definitions(
        resources=resources,
        executor=dg.in_process_executor,
        sensors=erasure_sensors(pipelines, resources["home"]),
    )
    return dg.Definitions.merge(shared, *parts)
