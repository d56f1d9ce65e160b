"""Why a pipeline should train now. Whether it does, and when, belongs in `schedules.retraining`."""

from __future__ import annotations

from datetime import datetime

from factory_assets.monitoring.alerts import known_alarms
from factory_assets.monitoring.looks import Looks
from factory_assets.monitoring.reference import lineage_of
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.outcomes.engines import has_outcomes, open_outcomes
from factory_resources.tracking.registry import Registry


def training_reasons(pipeline: Pipeline, home: Home) -> dict[str, str]:
    """Return the reasons that are declared and hold: a key that never changes, and a line.

    Raises:
        StorageError: the alarms cannot be read.
    """
    watch = pipeline.spec.watch
    if watch is None or watch.retrain is None:
        return {}
    reasons: dict[str, str] = {}
    if "drift" in watch.retrain.after:
        for alarm in known_alarms(Looks(home, pipeline.name)).open:
            if alarm.kind in {"drift", "performance"}:
                key = f"{alarm.kind}-v{alarm.version}-look{alarm.look}"
                reasons[key] = f"{alarm.kind} since {alarm.since}"
    if "outcomes" in watch.retrain.after and (many := _new_outcomes(pipeline, home)):
        enough = many // watch.retrain.outcomes
        if enough:
            version = Registry(home).champion(pipeline.name)
            reasons[f"outcomes-v{version}-{enough}"] = f"{many:,} new outcomes"
    return reasons


def _new_outcomes(pipeline: Pipeline, home: Home) -> int:
    """Return how many rows got their first outcome since the champion was exported."""
    version = Registry(home).champion(pipeline.name)
    if version is None or not has_outcomes(home):
        return 0
    exported = datetime.fromisoformat(lineage_of(pipeline.name, version, home).exported)
    with open_outcomes(home) as outcomes:
        rows = outcomes.known_rows(
            pipeline.name, outcomes.last_number(), int(exported.timestamp() * 1e6)
        )
        return sum(1 for _ in rows)
