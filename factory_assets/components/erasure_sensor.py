"""Connect the sensor of erasures to the pipelines: which erasures it sees, which jobs it runs."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import dagster as dg

from factory_resources.erasure.manifest import has_intent, manifests
from factory_resources.home.home import Home
from schedules.erasures import erasure_sensor


def erasure_sensors(pipelines: Sequence[dg.Definitions], home: Home) -> list[dg.SensorDefinition]:
    """Return the sensor; none if there is no pipeline that could be trained anew."""
    jobs = [cast(Any, job) for definitions in pipelines for job in definitions.jobs or ()]
    if not jobs:
        return []
    return [erasure_sensor(jobs, look=lambda: done_erasures(home))]


def done_erasures(home: Home) -> Iterator[tuple[str, str]]:
    """Yield the id of each erasure that is done with each pipeline that had rows of it."""
    for manifest in manifests(home):
        if not has_intent(home, manifest.id):
            for pipeline, erased in manifest.pipelines.items():
                if erased.rows:
                    yield manifest.id, pipeline
