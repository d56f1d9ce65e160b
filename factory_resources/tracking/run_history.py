"""Runs and schedules as Dagster has stored them, read without Dagster, whose import takes .6 s.

What Dagster reads or writes itself belongs in the packages that import it.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from factory_resources.home.database import query_sqlite, server_address
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults

REASON_TAG = "factory/retrain"
"""Run tag with the reason for which answers or outcomes started a training."""

PERSON_TAG = "factory/person"
"""Run tag with who launched a run in the UI."""

PROCESS_TAG = "factory/process"
"""Run tag that identifies the process of the run by process number, start and boot."""

AVOIDED_TAG = "factory/avoided_co2e_g"
"""Run tag with the g CO2e that a run avoided by beginning at an hour with less carbon."""

_RETRIED_TAG = "dagster/will_retry"
"""Dagster's run tag of a run that ended for another reason than its own, and is run again."""

RunState = Literal["succeeded", "failed", "canceled", "running", "queued"]

_STATES: Mapping[str, RunState] = {
    "SUCCESS": "succeeded",
    "FAILURE": "failed",
    "CANCELED": "canceled",
    "CANCELING": "running",
    "STARTED": "running",
    "STARTING": "running",
    "QUEUED": "queued",
    "NOT_STARTED": "queued",
}

_RUNS = """\
SELECT run_id, pipeline_name, status, run_body, create_timestamp, start_time, end_time FROM runs
WHERE status IN ('STARTED', 'STARTING', 'CANCELING', 'QUEUED', 'NOT_STARTED')
  OR update_timestamp >= :since
  OR status = 'FAILURE' AND id IN (SELECT max(id) FROM runs
    WHERE status IN ('SUCCESS', 'FAILURE', 'CANCELED') GROUP BY pipeline_name)
ORDER BY id
"""

_LAST = """\
SELECT run_id FROM runs WHERE id IN (SELECT max(id) FROM runs GROUP BY pipeline_name)
  OR id IN (SELECT max(id) FROM runs
    WHERE status IN ('SUCCESS', 'FAILURE', 'CANCELED') GROUP BY pipeline_name)
"""

_TAGGED = """\
SELECT run_tags.value FROM run_tags JOIN runs ON runs.run_id = run_tags.run_id
WHERE run_tags.key = :tag AND runs.pipeline_name = :job ORDER BY runs.id
"""

_ENDED = """\
SELECT status FROM runs WHERE pipeline_name = :job AND status IN ('SUCCESS', 'FAILURE', 'CANCELED')
ORDER BY id DESC LIMIT 1
"""

_WORKING = "SELECT 1 FROM runs WHERE status IN ('STARTED', 'STARTING', 'CANCELING') LIMIT 1"

_SCHEDULE_FILE = "dagster/schedules/schedules.db"

_SCHEDULES = "SELECT instigator_body FROM instigators WHERE instigator_type = 'SCHEDULE'"

_EVALUATIONS = """\
SELECT instigator_body, (SELECT tick_body FROM job_ticks
  WHERE job_ticks.selector_id = instigators.selector_id AND job_ticks.status <> 'STARTED'
  ORDER BY job_ticks.timestamp DESC LIMIT 1)
FROM instigators WHERE instigator_type = 'SENSOR' AND status <> 'STOPPED' ORDER BY update_timestamp
"""

_SWITCHED = {"RUNNING": True, "STOPPED": False}
"""Any other state is that of the declaration."""


@dataclass(frozen=True)
class StoredRun:
    """One run."""

    run_id: str
    pipelines: tuple[str, ...]
    """The pipelines whose assets it is about."""
    state: RunState
    created: str
    """UTC, ISO 8601."""
    started: float | None
    """POSIX seconds."""
    ended: float | None
    tags: Mapping[str, str]

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and is not run again."""
        return self.state not in ("running", "queued") and not is_to_be_retried(self.tags)


def stored_runs(home: Home, since: datetime) -> list[StoredRun]:
    """Return the runs that have not ended, those that changed since a time, and the last ended one
    of each job if it failed; the oldest first.

    Raises:
        StorageError: Dagster's database cannot be read.
    """
    moment = since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    with storage_faults(home):
        return [*map(_run, _rows(home, "dagster/history/runs.db", _RUNS, {"since": moment}))]


def last_run_ids(home: Home) -> list[str]:
    """Return the ids of the last run of each job, and of the last one that has ended.

    Raises:
        StorageError: Dagster's database cannot be read.
    """
    with storage_faults(home):
        return [run_id for (run_id,) in _rows(home, "dagster/history/runs.db", _LAST, {})]


def has_failed(home: Home, job: str) -> bool:
    """Whether the last run of a job that has ended failed.

    Raises:
        StorageError: Dagster's database cannot be read.
    """
    with storage_faults(home):
        last = _rows(home, "dagster/history/runs.db", _ENDED, {"job": job})
    return last == [("FAILURE",)]


def has_working_runs(home: Home) -> bool:
    """Whether a run works or is about to, or was killed while it did.

    Raises:
        StorageError: Dagster's database cannot be read.
    """
    with storage_faults(home):
        return bool(_rows(home, "dagster/history/runs.db", _WORKING, {}))


def switched_schedules(home: Home) -> dict[str, bool]:
    """Return whether a schedule is on, by its name, of all that a person has switched.

    Raises:
        StorageError: Dagster's database cannot be read.
    """
    found: dict[str, bool] = {}
    with storage_faults(home):
        for (body,) in _rows(home, _SCHEDULE_FILE, _SCHEDULES, {}):
            state = json.loads(body)
            name = _instigator_name(state)
            status = str((state.get("status") or {}).get("__enum__")).rpartition(".")[2]
            if name and status in _SWITCHED:
                found[name] = _SWITCHED[status]
    return found


def skip_reasons(home: Home) -> dict[str, str]:
    """Return why the last evaluation of a sensor that is on started no run, by the sensor's name.

    Raises:
        StorageError: Dagster's database cannot be read.
    """
    found: dict[str, str] = {}
    with storage_faults(home):
        for body, tick in _rows(home, _SCHEDULE_FILE, _EVALUATIONS, {}):
            name = _instigator_name(json.loads(body))
            why = tick and json.loads(tick).get("skip_reason")
            if name and why:
                found[name] = why
    return found


def _instigator_name(state: Mapping[str, Any]) -> str | None:
    origin = state.get("origin") or {}
    return origin.get("job_name") or origin.get("instigator_name")


def _rows(home: Home, file: str, statement: str, values: Mapping[str, Any]) -> list[Any]:
    address = server_address()
    if address is None:
        return query_sqlite(home.path / file, statement, values)
    import psycopg2

    with closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('runs') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return []
        cursor.execute(re.sub(r":(\w+)", r"%(\1)s", statement), values)
        return list(cursor.fetchall())


def _run(row: Sequence[Any]) -> StoredRun:
    run_id, job, status, body, created, started, ended = row
    content = json.loads(body)
    return StoredRun(
        run_id,
        tuple(sorted({*_pipelines(content)} or {job})),
        _STATES.get(status, "queued"),
        f"{str(created).replace(' ', 'T')[:19]}Z",
        started,
        ended,
        content.get("tags") or {},
    )


def _pipelines(run: Mapping[str, Any]) -> Iterator[str]:
    """Yield the pipelines of a run's assets, which are named `[pipeline, stage]`."""
    for key in ("asset_selection", "asset_check_selection"):
        for asset in (run.get(key) or {}).get("__frozenset__", ()):
            yield (asset.get("asset_key") or asset)["path"][0]


def is_to_be_retried(tags: Mapping[str, str]) -> bool:
    """Whether the process of a run died, and the daemon runs it again."""
    return tags.get(_RETRIED_TAG) == "true"


def started_by(tags: Mapping[str, str]) -> str:
    """Return who or what started a run, by what the door and Dagster wrote on it."""
    if person := tags.get(PERSON_TAG):
        return person
    if schedule := tags.get("dagster/schedule_name"):
        return f"schedule {schedule}"
    if sensor := tags.get("dagster/sensor_name"):
        reason = tags.get(REASON_TAG)
        return f"sensor {sensor}" + (f" ({reason})" if reason else "")
    if "dagster/from_automation_condition" in tags or "dagster/auto_materialize" in tags:
        return "new data"
    return "factory run" if PROCESS_TAG in tags else "Dagster"


def run_tag_values(home: Home, job: str, tag: str) -> list[str]:
    """Return the values that the runs of a job have of a tag, the oldest first.

    Raises:
        StorageError: Dagster's database cannot be read.
    """
    with storage_faults(home):
        rows = _rows(home, "dagster/history/runs.db", _TAGGED, {"job": job, "tag": tag})
    return [value for (value,) in rows]
