"""What the sensor of arriving files sees of a pipeline, and what it asks for."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from factory_assets.components.partitions import PARTITIONS, dynamic_name
from factory_assets.data.sources.partition_listing import files_of, list_partitions, patterns_of
from factory_assets.spec import Pipeline
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home
from schedules.sensors import Seen, arrivals_sensor


def sensors_of(pipeline: Pipeline) -> list[dg.SensorDefinition]:
    """The sensor that the declaration asks for."""
    arrivals = pipeline.spec.arrivals
    if arrivals is None:
        return []
    return [
        arrivals_sensor(
            pipeline.name,
            look=lambda: see(pipeline, Home.from_env()),
            run=lambda keys: asked_for(pipeline, keys),
            settle=arrivals.settle,
            enabled=arrivals.enabled,
        )
    ]


def see(pipeline: Pipeline, home: Home) -> Seen:
    """The files that lie there now, by partition."""
    try:
        if not pipeline.spec.partitions:
            found = (files_of(*one, pipeline.folder, home) for one in patterns_of(pipeline))
            return Seen({"": tuple(Path(name) for names in found for name in names)})
        there = list_partitions(pipeline, datetime.now(UTC), {}, home)
    except (FactoryError, OSError) as error:
        return Seen({}, problem=str(error))
    dynamic = {
        dynamic_name(pipeline.name, name): {
            partition.key: partition.keys[name] for partition in there.partitions
        }
        for name in there.dynamic
    }
    files = {key: tuple(map(Path, names)) for key, names in there.files.items()}
    return Seen(files, dynamic)


def asked_for(pipeline: Pipeline, keys: Sequence[str]) -> dg.RunRequest:
    """The whole job; of a pipeline in partitions, just these are ingested and cleaned."""
    if not pipeline.spec.partitions:
        return dg.RunRequest()
    operation = f"{pipeline.name}__{PARTITIONS}"
    return dg.RunRequest(
        run_config={"ops": {operation: {"config": {"keys": list(keys)}}}},
        asset_selection=[dg.AssetKey([pipeline.name, PARTITIONS])],
        tags={"factory/partitions": str(len(keys))},
    )
