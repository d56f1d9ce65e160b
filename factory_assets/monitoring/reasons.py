"""Why a pipeline should train now. Whether it does, and when, belongs in `schedules.retraining`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from factory_assets.execution.version_lineage import lineage_of
from factory_assets.monitoring.alerts import known_alarms
from factory_assets.monitoring.looks import Looks
from factory_assets.spec import Pipeline
from factory_resources.durations import minute
from factory_resources.home.home import Home
from factory_resources.outcomes.engines import has_outcomes, open_outcomes
from factory_resources.tracking.registry import Registry


@dataclass(frozen=True)
class _Counted:
    """The rows that got their first outcome since a version was exported."""

    version: int
    exported: int
    """Microseconds since 1970."""
    until: int = 0
    """The number of the last outcome that was read."""
    rows: int = 0


class TrainingReasons:
    """Returns why to train now; of the outcomes, it reads those that came since it was last asked.

    What it has counted is remembered by the process alone: a new one counts all of them once.
    """

    def __init__(self, pipeline: Pipeline, home: Home) -> None:
        self._pipeline = pipeline
        self._home = home
        self._counted: _Counted | None = None

    def __call__(self) -> dict[str, str]:
        """Return the reasons that are declared and hold: a key that never changes, and a line.

        Raises:
            StorageError: the alarms or the outcomes cannot be read.
        """
        watch = self._pipeline.spec.watch
        if watch is None or watch.retrain is None:
            return {}
        reasons: dict[str, str] = {}
        if "drift" in watch.retrain.after:
            for alarm in known_alarms(Looks(self._home, self._pipeline.name)).open:
                if alarm.kind in {"drift", "performance"}:
                    key = f"{alarm.kind}-v{alarm.version}-look{alarm.look}"
                    reasons[key] = f"{alarm.kind} since {minute(alarm.since)} UTC"
        new = self._new_outcomes() if "outcomes" in watch.retrain.after else None
        if new and (enough := new.rows // watch.retrain.outcomes):
            reasons[f"outcomes-v{new.version}-{enough}"] = f"{new.rows:,} new outcomes"
        return reasons

    def _new_outcomes(self) -> _Counted | None:
        """Return how many rows got their first outcome since the champion was exported."""
        name = self._pipeline.name
        version = Registry(self._home).champion(name)
        if version is None or not has_outcomes(self._home):
            return None
        before = self._counted
        with open_outcomes(self._home) as outcomes:
            last = outcomes.last_number()
            # Fewer than before: an older database was restored.
            if before is None or before.version != version or last < before.until:
                exported = datetime.fromisoformat(lineage_of(name, version, self._home).exported)
                before = _Counted(version, int(exported.timestamp() * 1e6))
            rows = before.rows
            if last > before.until:
                rows += outcomes.count_first(name, before.until, last, before.exported)
        self._counted = _Counted(version, before.exported, last, rows)
        return self._counted
