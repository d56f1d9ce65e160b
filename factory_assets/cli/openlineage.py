"""`factory openlineage`: the events of recorded runs.

What an event says belongs in `factory_assets.openlineage`.
"""

import json
from collections.abc import Iterator

from factory_assets.cli.shared import select
from factory_assets.declarations.settings import load_settings
from factory_assets.openlineage.events import recorded_events
from factory_assets.results.latest import stage_of
from factory_assets.results.record_graph import RecordGraph, identity
from factory_assets.results.stages import STAGES
from factory_assets.spec.settings import OpenLineageSettings
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from factory_resources.tracking.records import Records


def event_lines(name: str, run: str | None) -> Iterator[str]:
    """Yield the events of a pipeline's records as JSON, the oldest run first.

    Args:
        run: the id of a run, or its beginning; None for all runs.

    Raises:
        DeclarationError: there is no such pipeline, or `factory.yaml` is wrong.
        UnknownNameError: no stage was computed by that run.
        StorageError: a record is damaged.
    """
    [pipeline] = select([name])
    home, declared = Home.from_env(), load_settings()
    settings = declared.settings.openlineage if declared else None
    history = RecordGraph.of(home)
    counted = {identity(record) for record in Records(home).all(name)}
    records = [
        record
        for record in history.records
        if identity(record) in counted and record.run_id.startswith(run or "")
    ]
    if run and not records:
        raise UnknownNameError(
            f"no stage of {name} was computed by a run {run!r}",
            remedy=f"factory trace {name}/ingest shows the ids of runs",
        )
    namespace = (settings or OpenLineageSettings()).namespace
    # Their times are whole seconds.
    records.sort(key=lambda record: (record.finished, STAGES.index(stage_of(record))))
    for event in recorded_events(pipeline, records, history, namespace):
        yield json.dumps(event, ensure_ascii=False)
