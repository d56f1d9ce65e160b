"""Connect the sensor of arriving files to a pipeline: which files it sees, which runs it requests.

When files count as complete belongs in `schedules`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from factory_assets.components.partitions import PARTITIONS, dynamic_name
from factory_assets.data.sources.partition_listing import files_of, list_partitions, patterns_of
from factory_assets.spec import Pipeline
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home
from schedules.sensors import ArrivalListing, arrivals_sensor


def sensors_of(pipeline: Pipeline) -> list[dg.SensorDefinition]:
    """Return the sensor that the declaration requests, if any."""
    arrivals = pipeline.spec.arrivals
    if arrivals is None:
        return []
    return [
        arrivals_sensor(
            pipeline.name,
            look=lambda: list_arrivals(pipeline, Home.from_env()),
            run=lambda keys: run_request(pipeline, keys),
            settle=arrivals.settle,
            enabled=arrivals.enabled,
        )
    ]


def list_arrivals(pipeline: Pipeline, home: Home) -> ArrivalListing:
    """List the files that exist now, by partition."""
    try:
        if not pipeline.spec.partitions:
            found = (files_of(*one, pipeline.folder, home) for one in patterns_of(pipeline))
            return ArrivalListing({"": tuple(Path(name) for names in found for name in names)})
        listing = list_partitions(pipeline, datetime.now(UTC), {}, home)
    except (FactoryError, OSError) as error:
        return ArrivalListing({}, problem=str(error))
    dynamic = {
        dynamic_name(pipeline.name, name): {
            partition.key: partition.keys[name] for partition in listing.partitions
        }
        for name in listing.dynamic
    }
    files = {key: tuple(map(Path, names)) for key, names in listing.files.items()}
    return ArrivalListing(files, dynamic)


def run_request(pipeline: Pipeline, keys: Sequence[str]) -> dg.RunRequest:
    """Request the whole job; for a pipeline in partitions, ingest and clean only these keys."""
    if not pipeline.spec.partitions:
        return dg.RunRequest()
    operation = f"{pipeline.name}__{PARTITIONS}"
    return dg.RunRequest(
        run_config={"ops": {operation: {"config": {"keys": list(keys)}}}},
        asset_selection=[dg.AssetKey([pipeline.name, PARTITIONS])],
        tags={"factory/partitions": str(len(keys))},
    )
